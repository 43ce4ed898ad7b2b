"""A metric by names: `harness plot bars --x defense --y psnr_unit --by attack --out a.png`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field
from typing_extensions import override

from harness.base.component import component
from harness.plots.plot import Plot, caption
from harness.plots.style import INK, RATE, Look, label, legend, mark, panels, placed, series
from harness.store.frames import aggregate, groups, known, measured

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROOM = 0.8
"""Of the distance between two names, what the bars over one take."""
PER_NAME = 0.55
"""Inches that a name takes at least, and each further bar over it a third of that."""


@component
class Bars(Plot):
    """Means by a column of names, with 95 % intervals and a point for each image (of a rate, none): a panel per metric,
    a bar per group."""

    x: str = Field(description="a column, such as defense or attack: its values stand beside each other")
    y: Annotated[list[str], Field(min_length=1)] = Field(description="the metrics: a panel each")

    @property
    @override
    def groups(self) -> list[str]:
        return [*self.by, self.x]

    @override
    def numbers(self, table: "pandas.DataFrame") -> "pandas.DataFrame":
        for name in self.y:
            measured(table, name)
        found = aggregate(table, self.groups, self.y)
        images = [group for _, group in groups(table, known(table, self.groups))]
        found["points"] = [_told(group[name]) for group in images for name in self.y]
        return found

    @override
    def figure(self, numbers: "pandas.DataFrame") -> "Figure":
        numbers, ticks = placed(numbers.astype({self.x: object}), self.x)
        found = list(groups(numbers, self.by))
        wide = max(4.4, PER_NAME * len(ticks) * (2 + len(found)) / 3)
        figure, places = panels(len(self.y), self.title, size=(wide, 3.3), across=1 if wide > 6 else 3)
        captions = [caption(values, self.by) for values, _ in found]
        for axes, metric in zip(places, self.y, strict=True):
            for place, look in enumerate(series(len(found))):
                group = found[place][1]
                for line in group[group["metric"] == metric].to_dict("records"):
                    at = line[self.x] + ROOM * ((place + 0.5) / len(found) - 0.5)
                    self.draw_one(axes, at, ROOM / len(found), line, look, captions[place])
            mark(axes, ticks)
            axes.set(xlabel=label(self.x), ylabel=label(metric))
            if label(metric).endswith(RATE):
                axes.set_ylim(0, 1.05)
        legend(figure, captions)
        return figure

    def draw_one(
        self, axes: "Axes", at: float, width: float, line: Mapping[Any, Any], look: Look, name: str
    ) -> None:
        """One bar from zero to the mean, its interval, and its images."""
        if not line["n"]:
            return
        axes.bar(at, line["mean"], 0.9 * width, color=look.colour, alpha=0.75, label=name)
        if line["ci_low"] == line["ci_low"]:  # else it is no number
            reach = [[line["mean"] - line["ci_low"]], [line["ci_high"] - line["mean"]]]
            axes.errorbar(at, line["mean"], yerr=reach, color=INK, elinewidth=1.2, capsize=3)
        if not label(line["metric"]).endswith(RATE):  # images are recovered or not: their mean says all
            scatter(axes, at, width, line, INK)


def points(line: Mapping[Any, Any]) -> list[float]:
    """The values of the images of a group."""
    return [float(value) for value in str(line["points"]).split()] if line["n"] else []


def scatter(axes: "Axes", at: float, width: float, line: Mapping[Any, Any], colour: str) -> None:
    """The images of a group as points, spread evenly in their order so that equal ones are seen."""
    values = points(line)
    places = [at + 0.5 * width * ((place + 0.5) / len(values) - 0.5) for place in range(len(values))]
    axes.plot(places, values, linestyle="", marker=".", markersize=3.5, color=colour, alpha=0.45, zorder=3)


def _told(column: "pandas.Series") -> str:
    return " ".join(f"{float(value):.6g}" for value in column.dropna())
