"""Landscapes as maps: a line for each column of the table, a map for each value, of one image."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.papers.ggl.plane import MATCHING, OBJECTIVE, Landscape, steps
from harness.plots.style import INK, MAP, RED, label, panels, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES = {MATCHING: "matching loss", OBJECTIVE: "the attack's objective"}
LEVELS = 9
"""Lines of equal height."""


def draw(dataset: str, found: Mapping[str, Sequence[Landscape]], higher: Mapping[str, bool]) -> bytes:
    """The first image under every column, with the best place of each map, and of the matching loss in all."""
    first = {column: landscapes[0] for column, landscapes in found.items()}
    names = list(next(iter(first.values())).values)
    title = f"Around what GGL found, {dataset}: + what it found, x least matching loss, circle the best of the map"
    figure, places = panels(len(first) * len(names), title, (3.0, 2.6), across=len(names))
    for place, axes in enumerate(places):
        column, name = list(first)[place // len(names)], names[place % len(names)]
        _map(axes, first[column], name, higher.get(name, False))
        if place < len(names):
            axes.set_title(title_of(name), fontsize=10)
        if name == names[0]:
            axes.set_ylabel(f"{column}\nb", fontsize=9)
        axes.set_xlabel("a", fontsize=9)
    return png(figure)


def title_of(name: str) -> str:
    """What a map is called."""
    return TITLES.get(name) or label(name)


def _map(axes: "Axes", shown: Landscape, name: str, higher: bool) -> None:
    along, side = steps(shown.points), shown.points
    values = shown.values[name]
    grid = [values[row * side : (row + 1) * side] for row in range(side)]
    image = axes.pcolormesh(along, along, grid, cmap=MAP if higher else f"{MAP}_r", shading="nearest")
    axes.contour(along, along, grid, levels=LEVELS, colors=INK, linewidths=0.4, alpha=0.6)
    axes.plot(0, 0, "+", color=RED, markersize=9, markeredgewidth=1.6)
    axes.plot(*shown.at(shown.best(MATCHING)), "x", color=RED, markersize=7, markeredgewidth=1.6)
    axes.plot(
        *shown.at(shown.best(name, higher)),
        "o",
        color=RED,
        markersize=11,
        fillstyle="none",
        markeredgewidth=1.6,
    )
    axes.set_aspect("equal")
    axes.tick_params(labelsize=7)
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.85)
    bar.ax.tick_params(labelsize=7)
