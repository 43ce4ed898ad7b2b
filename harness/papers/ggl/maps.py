"""Landscapes as maps: a line for each column of the table, a map for each value, of one image."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.papers.ggl.plane import LOSSES, Distance, Landscape, steps
from harness.plots.style import INK, MAP, RED, panels, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEVELS = 9
"""Lines of equal height."""


def draw(dataset: str, found: Mapping[str, Sequence[Landscape]], distances: Sequence[Distance]) -> bytes:
    """The first image under every column, with the best place of each map, and that of the matching loss in all."""
    first = {column: landscapes[0] for column, landscapes in found.items()}
    shown = [each for each in distances if all(each.name in one.values for one in first.values())]
    title = (
        f"Around what GGL found, {dataset}: + what it found, x least matching loss, circle best of the map"
    )
    figure, places = panels(len(first) * len(shown), title, (3.0, 2.6), across=len(shown))
    for place, axes in enumerate(places):
        (line, column), of = divmod(place, len(shown)), shown[place % len(shown)]
        _map(axes, [*first.values()][line], of)
        if line == 0:
            axes.set_title(of.title, fontsize=10)
        if column == 0:
            axes.set_ylabel(f"{[*first][line]}\nb", fontsize=9)
        axes.set_xlabel("a", fontsize=9)
    return png(figure)


def _map(axes: "Axes", shown: Landscape, of: Distance) -> None:
    along, side = steps(shown.points), shown.points
    grid = [shown.values[of.name][row * side : (row + 1) * side] for row in range(side)]
    colours = MAP if of.higher_is_better else f"{MAP}_r"
    image = axes.pcolormesh(along, along, grid, cmap=colours, shading="nearest")
    axes.contour(along, along, grid, levels=LEVELS, colors=INK, linewidths=0.4, alpha=0.6)
    _mark(axes, shown, shown.middle, "+", 9)
    _mark(axes, shown, shown.best(LOSSES[0]), "x", 7)
    _mark(axes, shown, shown.best(of), "o", 11)
    axes.set_aspect("equal")
    axes.tick_params(labelsize=7)
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.85)
    bar.formatter.set_useOffset(False)  # type: ignore[attr-defined]
    bar.ax.tick_params(labelsize=7)


def _mark(axes: "Axes", shown: Landscape, place: int, marker: str, size: float) -> None:
    (a, b) = shown.at(place)
    axes.plot(
        [a], [b], marker, color=RED, markersize=size, fillstyle="none", markeredgewidth=1.6, clip_on=False
    )
