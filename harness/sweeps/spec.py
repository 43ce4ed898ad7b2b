"""What a sweep is: every combination of some values, its metrics and its plots."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pydantic

from harness.base.component import component
from harness.base.components import build, listed
from harness.base.errors import UserError, explain_validation, shortened
from harness.cells.plan import MOST, latest
from harness.plots.plot import Plot
from harness.store.filters import select

Overrides = list[str]
Value = bool | int | float | str | None
Grid = Mapping[str, Sequence[Value]]
"""Values of each setting: `fl.batch_size: [1, 2]`; a text is written as on the command line."""

SEED = "seed"
"""The axis along which runs are repetitions, of which the means are shown."""


@component
class SweepScale:
    """What a scale changes."""

    base: Overrides = field(default_factory=list)
    grid: dict[str, list[Value]] = field(default_factory=dict)
    """Other values for some of the axes."""
    additions: dict[str, Overrides] = field(default_factory=dict)


@dataclass(frozen=True)
class Point:
    """One run of a sweep: its values in the order of the axes, and the overrides that make it."""

    values: tuple[tuple[str, Value], ...]
    overrides: tuple[str, ...]

    @property
    def name(self) -> str:
        return ", ".join(_override(*value) for value in self.values) or "one run"


@component
class Sweep:
    """A grid of settings. Without a name it is an ad-hoc multirun, whose grid is on the command line."""

    name: str | None = pydantic.Field(default=None, pattern=r"^[\w-]{1,100}$")
    title: str = ""
    base: Overrides = field(default_factory=list)
    grid: dict[str, list[Value]] = field(default_factory=dict)
    variants: list[dict[str, list[Value]]] = field(default_factory=list)
    """Further axes, of which each variant has its own: the grid is made once with each. An axis with a single value
    names its variant: `defense: [noise], defense.sigma: [.01, .1]`."""
    where: str | None = None
    """A condition on the axes: the combinations for which it does not hold are left out."""
    additions: dict[str, Overrides] = field(default_factory=dict)
    """What a value brings with it, such as the steps of an attack: `attack=ig: [attack.steps=100]`."""
    scales: dict[str, SweepScale] = field(default_factory=dict)
    metrics: list[str] = field(default_factory=list)
    """Columns of cells.csv."""
    each: list[str] = field(default_factory=list)
    """Columns of the rows, such as `round`, for each of whose values a point has a line of its own."""
    plots: list[Plot] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    """A line below the sweep for a dataset or a scale, by its name; `all` is for every one."""

    def grids(self, scale: str, user: Grid) -> list[dict[str, Sequence[Value]]]:
        """The values of every axis of each variant: the user's own win, then the scale's.

        Variants without an axis that the user names are left out, and those with another name.
        """
        own = self.scales.get(scale, SweepScale()).grid
        further = {axis for variant in self.variants for axis in variant}
        found: list[dict[str, Sequence[Value]]] = []
        for variant in self.variants or [{}]:
            named = {axis for axis, values in variant.items() if len(values) == 1 and axis in user}
            fits = all(axis in variant for axis in further & user.keys())
            if fits and all(variant[axis][0] in user[axis] for axis in named):
                asked = {axis: values for axis, values in user.items() if axis not in named}
                found.append({**self.grid, **own, **variant, **asked})
        return found

    def axes(self, scale: str, user: Grid) -> list[str]:
        """The names of all axes."""
        return list(dict.fromkeys(axis for grid in self.grids(scale, user) for axis in grid))

    def points(self, scale: str, given: Sequence[str], user: Grid, fixed: Sequence[str]) -> list[Point]:
        """Every run, the first axis outermost. Later overrides win: what is given, base, scale, values, what they
        bring with them, what the scale adds to them, and last the user's own.

        Raises UserError where no combination is left, and where `where` names what is no axis.
        """
        own = self.scales.get(scale, SweepScale())
        combinations = [
            tuple(zip(axes, values, strict=True))
            for axes in self.grids(scale, user)
            for values in self._combinations(axes)
        ]
        if not combinations:
            raise UserError(f"sweep {self.name}: no combination of the axes is left")
        return [
            Point(values, latest([*given, *self.base, *own.base, *chosen, *added, *fixed]))
            for values in combinations
            for chosen in [[_override(*value) for value in values]]
            for added in [
                [o for more in (self.additions, own.additions) for c in chosen for o in more.get(c, [])]
            ]
        ]

    def _combinations(self, axes: Mapping[str, Sequence[Value]]) -> list[tuple[Value, ...]]:
        if (several := math.prod(map(len, axes.values()))) > MOST:
            raise UserError(f"a grid of {several:,} runs: a command carries out {MOST:,} at most")
        found = list(itertools.product(*axes.values()))
        if self.where is None:
            return found
        import pandas

        columns = zip(*found, strict=True)
        table = pandas.DataFrame({name: list(values) for name, values in zip(axes, columns, strict=True)})
        return [found[place] for place in select(table, self.where).index]


def _override(name: str, value: Value) -> str:
    """`fl.batch_size=2`, in Hydra's own way of writing."""
    return f"{name}={_WORDS.get(value, value) if value is None or isinstance(value, bool) else value}"


_WORDS = {None: "null", True: "true", False: "false"}


def parse(node: Mapping[str, Any]) -> Sweep:
    """A sweep from plain data. Raises UserError with one line that names the mistake."""
    values = {key: value for key, value in node.items() if not key.startswith("_") and value is not None}
    plots = [build("plots", each) for each in listed("plots", values.pop("plots", []))]
    try:
        sweep = Sweep(**values, plots=plots)
    except pydantic.ValidationError as error:
        mistakes = explain_validation(error, Sweep, "")
        raise UserError(f"sweep {shortened(node.get('name'))}: {mistakes}") from error
    empty = [axis for grid in (sweep.grid, *sweep.variants) for axis, values in grid.items() if not values]
    if empty:
        raise UserError(f"sweep {sweep.name}: {empty[0]} has no values")
    return sweep
