"""One number of each image against another: `harness plot scatter --x loss --y psnr_unit --out a.png`."""

from typing import TYPE_CHECKING

from pydantic import Field
from typing_extensions import override

from harness.base.component import component
from harness.base.errors import UserError
from harness.plots.plot import Plot, caption
from harness.plots.style import label, legend, panels, series
from harness.store.frames import groups, known, measured

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


@component
class Scatter(Plot):
    """A point per image: whether a low loss means a good picture, or whether two metrics agree."""

    averages = False
    x: str = Field(description="a column, such as loss")
    y: str = Field(description="a column, such as psnr_unit")
    log: bool = Field(default=False, description="x on a logarithmic axis")

    @property
    @override
    def groups(self) -> list[str]:
        return self.by

    @override
    def numbers(self, table: "pandas.DataFrame") -> "pandas.DataFrame":
        for name in (self.x, self.y):
            measured(table, name)
        columns = dict.fromkeys([*self.by, "run", "problem", "image", "target", self.x, self.y])
        points = table[known(table, columns)].dropna(subset=[self.x, self.y])
        if self.log and (points[self.x] <= 0).any():
            raise UserError(f"{self.x}: a value of {points[self.x].min():g} has no logarithm")
        if points.empty:
            raise UserError(f"no image has both {self.x} and {self.y}")
        return points

    @override
    def figure(self, numbers: "pandas.DataFrame") -> "Figure":
        figure, (axes,) = panels(1, self.title, size=(5.2, 4.2))
        found = list(groups(numbers, self.by))
        names = [caption(values, self.by) for values, _ in found]
        for name, look, (_, points) in zip(names, series(len(found)), found, strict=True):
            axes.scatter(
                points[self.x],
                points[self.y],
                label=name,
                color=look.colour,
                marker=look.marker,
                s=16,
                alpha=0.6,
                linewidths=0,
            )
        if self.log:
            axes.set_xscale("log")
        axes.set(xlabel=label(self.x), ylabel=label(self.y))
        legend(figure, names)
        return figure
