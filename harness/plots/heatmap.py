"""A metric over two settings: `harness plot heatmap --x fl.batch_size --y fl.local_epochs --out a.png`."""

from typing import TYPE_CHECKING

from pydantic import Field
from typing_extensions import override

from harness.base.component import component
from harness.base.numbers import Natural
from harness.plots.plot import Plot, caption
from harness.plots.style import INK, MAP, label, panels
from harness.store.frames import aggregate, groups, measured

if TYPE_CHECKING:
    import numpy
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@component
class Heatmap(Plot):
    """The mean of a metric at each pair of settings: a panel per group, one scale of colours for all."""

    x: str = Field(description="the column that runs from left to right")
    y: str = Field(description="the column that runs from bottom to top")
    value: str = Field(default="psnr_unit", description="the metric")
    digits: Natural = Field(default=1, le=17, description="decimals of the numbers in the map")

    @property
    @override
    def groups(self) -> list[str]:
        return [*self.by, self.y, self.x]

    @override
    def numbers(self, table: "pandas.DataFrame") -> "pandas.DataFrame":
        measured(table, self.value)
        return aggregate(table, self.groups, [self.value])

    @override
    def figure(self, numbers: "pandas.DataFrame") -> "Figure":
        import pandas

        found = list(groups(numbers, self.by))
        figure, places = panels(len(found), self.title)
        low, high = float(numbers["mean"].min()), float(numbers["mean"].max())
        for axes, (values, group) in zip(places, found, strict=True):
            # Not DataFrame.pivot, which refuses pairs that are not there.
            grid = pandas.pivot_table(group, values="mean", index=self.y, columns=self.x)
            image = axes.imshow(grid, cmap=MAP, vmin=low, vmax=high, origin="lower", aspect="auto")
            axes.set_xticks(range(len(grid.columns)), [f"{name}" for name in grid.columns])
            axes.set_yticks(range(len(grid.index)), [f"{name}" for name in grid.index])
            axes.set(xlabel=label(self.x), ylabel=label(self.y))
            axes.set_title(caption(values, self.by), fontsize=10)
            axes.spines[:].set_visible(False)
            self._write(axes, grid.to_numpy(), (low + high) / 2)
        figure.colorbar(image, ax=places, label=label(self.value), shrink=0.9)
        return figure

    def _write(self, axes: "Axes", grid: "numpy.ndarray", middle: float) -> None:
        """Each mean in its square, light on dark and dark on light."""
        for row, line in enumerate(grid):
            for column, value in enumerate(line):
                if value == value:
                    colour = "white" if value < middle else INK
                    axes.text(column, row, f"{value:.{self.digits}f}", ha="center", va="center", color=colour)
