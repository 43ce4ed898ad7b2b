"""Which iterate of a search is shown: the best, or the last, which most authors return. A run keeps both.

A row's columns are the best iterate's. Those of the last have the same names with `_last` behind them, and so have
its images; where there are none (an attack in closed form, on labels, or an older run), the one iterate is both.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

Report = Literal["best", "last"]
LAST = "_last"
T = TypeVar("T")


def beside(last: Mapping[str, T]) -> dict[str, T]:
    """The last iterate's columns or images, by the names that they have beside the best's."""
    return {f"{name}{LAST}": value for name, value in last.items()}


def shown(row: Mapping[str, T], report: Report) -> dict[str, T]:
    """A row, or the images of a run, as the report wants them: under the plain names what is to be shown."""
    if report == "best":
        return dict(row)
    return {name: row.get(f"{name}{LAST}", value) for name, value in row.items() if not name.endswith(LAST)}


def both(row: Mapping[str, Any]) -> bool:
    """Whether the last iterate was scored by itself."""
    return f"loss{LAST}" in row
