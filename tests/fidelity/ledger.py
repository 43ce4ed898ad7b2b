"""What was held against its authors' formula and how far apart the two were, and what was not."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

ROOT = Path(__file__).parents[2]
CONF, PAGE, NOT_CHECKED = (
    ROOT / "conf",
    ROOT / "docs/fidelity.md",
    Path(__file__).with_name("not_checked.yaml"),
)
KINDS = (
    "attack",
    "start",
    "prior",
    "labels",
    "defense",
    "fl",
    "partition",
    "model",
    "adapter",
    "server",
    "checks",
    "metric",
)
"""The groups of conf/ that hold methods."""
COLUMNS = frozenset({"success", "class_accuracy", "count_accuracy", "label_accuracy", "matching"})
"""Scores that conf/metric does not list, for every run has them."""
PROPERTY = "fidelity"
ROUNDING = (1e-11, 1e-6)
"""What float64 leaves open after some thousand operations, and float32 after a few: more varies from run to run."""
HEADER = "| Kind | Method | What is compared | Largest difference | Tolerance |"
INTRODUCTION = """\
# Fidelity

Every method beside its authors' formula, written out independently of the code under test, on the same inputs in
float64. The largest difference is relative to the largest expected value (absolute where that is zero), as the power of
ten that it stays below: 1e-11 where it is float64's rounding, 1e-06 where it is float32's or a solver's; what is
counted is equal. `make fidelity` runs the checks and writes this page.
"""

Values = Tensor | float | Mapping[str, Any] | Sequence[Any]


@dataclass(frozen=True)
class Check:
    """One comparison. `compared` names the formula with its source."""

    kind: str
    name: str
    compared: str
    difference: float
    tolerance: float

    @property
    def key(self) -> tuple[int, str, str]:
        return KINDS.index(self.kind), self.name, self.compared

    @property
    def cells(self) -> tuple[str, ...]:
        return (
            self.kind,
            self.name,
            self.compared,
            magnitude(self),
            f"{self.tolerance:.0e}" if self.tolerance else "0",
        )


class Ledger:
    """A plugin of pytest that collects the checks of a session."""

    def __init__(self) -> None:
        self.checks: dict[tuple[int, str, str], Check] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            for name, value in report.user_properties:
                if name == PROPERTY:
                    self._add(Check(**value))  # type: ignore[arg-type]

    def _add(self, check: Check) -> None:
        """Of several comparisons under one name the widest apart counts."""
        known = self.checks.get(check.key, check)
        self.checks[check.key] = replace(check, difference=max(check.difference, known.difference))

    def sorted(self) -> list[Check]:
        return [self.checks[key] for key in sorted(self.checks)]


def compare(kind: str, name: str, compared: str, actual: Values, expected: Values, tolerance: float) -> Check:
    """The check of a component of conf/. Raises AssertionError for a name that is none."""
    assert name in components(kind), f"conf/ has no {kind} called {name}"
    return Check(kind, name, compared, largest_difference(actual, expected), tolerance)


def largest_difference(actual: Values, expected: Values) -> float:
    """The largest |actual - expected| over the largest |expected|, or absolute where nothing but zero is expected.

    Tensors, numbers, and sequences or mappings of them; a mapping counts as one vector. Raises AssertionError where
    shapes or names differ, or where a value is not finite.
    """
    (mine, shapes), (theirs, expected_shapes) = _flat(actual), _flat(expected)
    assert shapes == expected_shapes, f"{shapes} beside {expected_shapes}"
    assert torch.isfinite(mine).all(), "a value under test is not finite"
    assert torch.isfinite(theirs).all(), "an expected value is not finite"
    if not len(theirs):
        return 0.0
    scale = float(theirs.abs().max())
    return float((mine - theirs).abs().max()) / (scale or 1.0)


def _flat(values: Values) -> tuple[Tensor, list[object]]:
    """Every number in one float64 vector, and the names and shapes that they had."""
    if isinstance(values, Mapping):
        parts = [_flat(values[name]) for name in sorted(values)]
        shapes: list[object] = [(name, part[1]) for name, part in zip(sorted(values), parts, strict=True)]
        return torch.cat([torch.empty(0).double(), *(part[0] for part in parts)]), shapes
    if isinstance(values, Sequence) and any(
        isinstance(value, Tensor | Mapping | Sequence) for value in values
    ):
        return _flat({f"{place:06}": value for place, value in enumerate(values)})
    tensor = (
        values.detach().cpu().double()
        if isinstance(values, Tensor)
        else torch.tensor(values, dtype=torch.float64)
    )
    return tensor.flatten(), [tuple(tensor.shape)]


def magnitude(check: Check) -> str:
    """A power of ten, for what is behind it varies from machine to machine; so does all that is but rounding."""
    if check.difference == check.tolerance == 0:
        return "equal"
    above = next((limit for limit in ROUNDING if check.difference < limit), None)
    return f"< {above or 10.0 ** (math.floor(math.log10(check.difference)) + 1):.0e}"


@cache
def components(kind: str) -> frozenset[str]:
    """The names of a group of conf/; of `metric`, the columns."""
    if kind != "metric":
        return frozenset(path.stem for path in (CONF / kind).glob("*.yaml"))
    listed = [yaml.safe_load(path.read_text())["metrics"] for path in (CONF / kind).glob("*.yaml")]
    return COLUMNS.union(*listed)


def not_checked() -> dict[tuple[str, str], str]:
    """Why a component, by kind and name, has no check."""
    listed = yaml.safe_load(NOT_CHECKED.read_text()) or {}
    return {(kind, name): reason for kind, names in listed.items() for name, reason in (names or {}).items()}


def page(checks: Iterable[Check]) -> str:
    """The page docs/fidelity.md."""
    rows = [_row(check.cells) for check in checks]
    reasons = sorted(not_checked().items(), key=lambda item: (KINDS.index(item[0][0]), item[0][1]))
    return "\n".join(
        [
            *(INTRODUCTION, HEADER, "|---|---|---|---|---|", *rows),
            *("", "## Not checked", "", "| Kind | Method | Why |", "|---|---|---|"),
            *(_row((kind, name, reason)) for (kind, name), reason in reasons),
            "",
        ]
    )


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def named(text: str) -> set[tuple[str, str, str]]:
    """The checks (kind, name, what is compared) that a page has rows of."""
    table = text.partition(HEADER)[2].partition("## Not checked")[0]
    cells = [re.split(r"(?<!\\)\|", line)[1:4] for line in table.splitlines()[2:] if line.startswith("|")]
    return {(kind.strip(), name.strip(), what.strip().replace("\\|", "|")) for kind, name, what in cells}


def recorded(check: Check) -> dict[str, Any]:
    """What a test report carries from a worker to the session."""
    return asdict(check)
