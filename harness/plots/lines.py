"""A metric over a setting: `harness plot lines --x fl.batch_size --y psnr_unit --by attack --out a.png`."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from typing_extensions import override

from harness.base.component import component
from harness.base.errors import UserError
from harness.plots.plot import Plot, caption
from harness.plots.style import RATE, label, legend, mark, panels, placed, series
from harness.store.frames import aggregate, groups, measured

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@component
class Lines(Plot):
    """Means over a setting, with 95 % intervals or the values of fewer than five images: a panel per metric, a line per
    group. What is no number stands on the axis by its name."""

    x: str = Field(description="a column, such as fl.batch_size")
    y: Annotated[list[str], Field(min_length=1)] = Field(description="the metrics: a panel each")
    log: bool = Field(default=False, description="x in powers of two")

    @property
    @override
    def groups(self) -> list[str]:
        return [*self.by, self.x]

    @override
    def numbers(self, table: "pandas.DataFrame") -> "pandas.DataFrame":
        for name in ([self.x] if self.log else []) + self.y:
            measured(table, name)
        if self.log and (table[self.x] <= 0).any():
            raise UserError(f"{self.x}: a value of {table[self.x].min():g} is no power of two")
        return aggregate(table, self.groups, self.y)

    @override
    def figure(self, numbers: "pandas.DataFrame") -> "Figure":
        figure, places = panels(len(self.y), self.title)
        names: list[str] = []
        numbers, ticks = placed(numbers, self.x)
        for axes, metric in zip(places, self.y, strict=True):
            names = self._panel(axes, numbers[numbers["metric"] == metric], ticks)
            axes.set(xlabel=label(self.x), ylabel=label(metric))
            if label(metric).endswith(RATE):
                axes.set_ylim(-0.05, 1.05)
        legend(figure, names)
        return figure

    def _panel(self, axes: "Axes", numbers: "pandas.DataFrame", ticks: dict[float, str]) -> list[str]:
        found = list(groups(numbers, self.by))
        names = [caption(values, self.by) for values, _ in found]
        moved = self._moves([*ticks], len(found))
        for name, look, move, (_, line) in zip(names, series(len(found)), moved, found, strict=True):
            axes.errorbar(
                line[self.x] * move if self.log else line[self.x] + move,
                line["mean"],
                yerr=[line["mean"] - line["ci_low"], line["ci_high"] - line["mean"]],
                label=name,
                color=look.colour,
                marker=look.marker,
                linestyle=look.line,
                linewidth=1.6,
                elinewidth=1,
                capsize=3,
            )
            self._values(axes, line, move, look.colour)
        if self.log:
            axes.set_xscale("log", base=2)
        mark(axes, ticks)
        return names

    def _values(self, axes: "Axes", line: "pandas.DataFrame", move: float, colour: str) -> None:
        """The values themselves, small, where they are too few for an interval."""
        for x, told in zip(line[self.x], line["values"], strict=True):
            values = [float(value) for value in told.split()] if isinstance(told, str) else []
            place = x * move if self.log else x + move
            axes.plot([place] * len(values), values, linestyle="", marker=".", color=colour, alpha=0.5)

    def _moves(self, ticks: Sequence[float], count: int) -> list[float]:
        """How far each line stands beside its x, so that intervals do not cover each other: a factor where x is in
        powers of two, else a part of the smallest distance between two values."""
        middle = [place - (count - 1) / 2 for place in range(count)]
        if self.log:
            return [2 ** (0.08 * place) for place in middle]
        gap = min((after - before for before, after in pairwise(ticks)), default=1.0)
        return [0.06 * gap * place for place in middle]
