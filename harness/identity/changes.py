"""Which methods behind a stored number have changed their numbers since."""

from collections.abc import Iterable, Mapping
from typing import Any

from harness.base.component import Component
from harness.base.components import find
from harness.base.errors import UserError
from harness.identity.identity import class_path

Methods = Mapping[str, int | list[int]]
"""Class paths and versions; several versions where runs of several are behind a number."""


def methods(parts: Iterable[Component]) -> dict[str, int]:
    """The versions of some components, for the record of a run."""
    return {class_path(type(part)): part.revision() for part in parts}


def merged(several: Iterable[Methods]) -> dict[str, Any]:
    """The versions behind several runs."""
    found: dict[str, set[int]] = {}
    for one in several:
        for path, versions in one.items():
            found.setdefault(path, set()).update(versions if isinstance(versions, list) else [versions])
    return {path: min(each) if len(each) == 1 else sorted(each) for path, each in sorted(found.items())}


def changes(behind: Methods) -> list[str]:
    """A sentence for each method that is of another version today; its numbers are not those of that time.

    Of a method whose version depends on its settings nothing is said: it is another only with some of them.
    """
    return [told for path, then in merged([behind]).items() if (told := _change(path, then))]


def _change(path: str, then: int | list[int]) -> str:
    name = path.rpartition(".")[2]
    try:
        kind = find("methods", path)
    except UserError:
        kind = type(None)
    if not issubclass(kind, Component):
        return f"{name} is there no more."
    if then == kind.version or kind.revision is not Component.revision:
        return ""
    were = ", ".join(map(str, then if isinstance(then, list) else [then]))
    return f"The numbers of {name} have changed since: version {were}, now {kind.version}."
