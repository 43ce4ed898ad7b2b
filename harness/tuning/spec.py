"""What a tuning is: its rows, and between what values their settings are searched."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import pydantic

from harness.base.component import component
from harness.base.errors import UserError, explain_validation, shortened
from harness.base.numbers import Count, Real
from harness.cells.plan import key, latest
from harness.core.columns import COLUMNS

Overrides = list[str]
Value = bool | int | float | str
Settings = tuple[tuple[str, Value], ...]


@component
class Range:
    """Numbers from low to high, both included; `log`: each power of ten as often as the others."""

    low: Real
    high: Real
    log: bool = False
    integer: bool = False


Space = dict[str, Range | list[Value]]
"""What a setting may be: a range, or one of a list."""


@component
class Row:
    """An attack that is tuned: what makes it, and what of it is searched."""

    overrides: Overrides
    space: Space


@component
class ScaleSettings:
    """What a scale changes: further overrides of all rows and of some, and the number of candidates."""

    base: Overrides = field(default_factory=list)
    rows: dict[str, Overrides] = field(default_factory=dict)
    candidates: Count | None = None


@dataclass(frozen=True)
class Candidate:
    """Settings of a row that are tried: the number of the try, the settings, and the overrides that make the run."""

    row: str
    number: int
    settings: Settings
    overrides: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.row} {self.number}"


@component
class Tuning:
    """Rows whose settings are searched, each with as many candidates as the others."""

    name: str = pydantic.Field(pattern=r"^[\w-]{1,100}$")
    title: str
    rows: dict[str, Row]
    base: Overrides = field(default_factory=list)
    metric: str = "psnr_unit"
    """The column whose mean over the images is best."""
    higher_is_better: bool | None = None
    """Null: as the column is known to be, which a metric of one's own is not."""
    candidates: Count = 24
    """Of each row; the first is the row as it stands."""
    at_once: Count = 4
    """Candidates of a row that are chosen before one of them is known: a part of what is tried, so that processes
    that share the work, and a command that goes on, try the same."""
    scales: dict[str, ScaleSettings] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    """A line for a data set or a scale, by its name; `all` is for every one."""

    @property
    def chosen(self) -> set[str]:
        """What all rows set, and what is searched of any: no command line sets it for them."""
        set_by_all = set.intersection(*({key(each) for each in row.overrides} for row in self.rows.values()))
        return set_by_all | {name for row in self.rows.values() for name in row.space}

    @property
    def ascending(self) -> bool:
        """Whether the metric is better when higher. Raises UserError where that is not known."""
        known = COLUMNS[self.metric].higher_is_better if self.metric in COLUMNS else None
        if (said := known if self.higher_is_better is None else self.higher_is_better) is None:
            raise UserError(
                f"metric: whether {self.metric} is better when higher is to be said (higher_is_better)"
            )
        return said

    def at(self, scale: str) -> ScaleSettings:
        """What the scale changes, with the number of candidates."""
        own = self.scales.get(scale, ScaleSettings())
        return ScaleSettings(base=own.base, rows=own.rows, candidates=own.candidates or self.candidates)

    def candidate(
        self, row: str, number: int, settings: Settings, scale: str, given: Overrides, fixed: Overrides
    ) -> Candidate:
        """Later overrides win: what is given, base, scale, row, what the scale adds to it, settings, the user's own."""
        own = self.at(scale)
        chosen = [f"{name}={_written(value)}" for name, value in settings]
        made = [*given, *self.base, *own.base, *self.rows[row].overrides, *own.rows.get(row, []), *chosen]
        return Candidate(row, number, settings, latest([*made, *fixed]))


def _written(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def parse(node: Mapping[str, Any]) -> Tuning:
    """A tuning from plain data. Raises UserError with one line that names the mistake."""
    values = {key: value for key, value in node.items() if not key.startswith("_") and value is not None}
    _check_ranges(node)
    try:
        found = Tuning(**values)
    except pydantic.ValidationError as error:
        mistakes = explain_validation(error, Tuning, "")
        raise UserError(f"tune {shortened(node.get('name'))}: {mistakes}") from error
    if not found.rows:
        raise UserError(f"tune {found.name}: it has no rows")
    for name, row in found.rows.items():
        for setting, space in row.space.items():
            _check(f"tune {found.name}: {name}: {setting}", space)
        if not row.space:
            raise UserError(f"tune {found.name}: {name}: its space has no settings")
    return found


def _check_ranges(node: Mapping[str, Any]) -> None:
    """Raises UserError for what a range has not: pydantic would tell of a list as well, which it could have been."""
    known = [each.name for each in fields(Range)]
    for name, row in _inside(node, "rows").items():
        for setting in (spaces := _inside(row, "space")):
            wrong = [key for key in _inside(spaces, setting) if key not in known]
            if wrong:
                place = f"tune {shortened(node.get('name'))}: {name}: {setting}"
                raise UserError(f"{place}: a range has {', '.join(known)}, and no {wrong[0]}")


def _inside(node: Any, key: str) -> Mapping[str, Any]:
    found = node.get(key) if isinstance(node, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _check(place: str, space: Range | list[Value]) -> None:
    if isinstance(space, list):
        if not space:
            raise UserError(f"{place}: there are no values")
    elif not space.low < space.high:
        raise UserError(f"{place}: low ({space.low:g}) is to be below high ({space.high:g})")
    elif space.log and space.low <= 0:
        raise UserError(f"{place}: a logarithmic range begins above 0")
