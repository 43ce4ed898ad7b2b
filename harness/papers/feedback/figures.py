"""Figures 3 and 4 of the feedback-blending paper, as CSV and as pictures of that very CSV."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from harness.base.rows import parse_csv, to_csv
from harness.core import component
from harness.papers.feedback.methods import Method
from harness.plots.style import BLUE, GREEN, INK, OCHRE, PALE, PURPLE, RED, panels, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STRONG = (INK, BLUE, RED)
"""The base, the feedback and the noise factor."""
THIN = (GREEN, OCHRE, PURPLE, PALE)


@component
class Family:
    """The methods that share a base attack, by their rows in the table."""

    base: str
    feedback: str
    noise: str
    controls: Annotated[list[str], Field(max_length=len(THIN))]

    @property
    def names(self) -> list[str]:
        return [self.base, self.feedback, self.noise, *self.controls]


def curves_csv(methods: Sequence[Method]) -> str:
    """figure3.csv: images attacked, and for every method how many of them it had recovered; empty past its end."""
    curves = [method.curve for method in methods]
    longest = max((len(curve) for curve in curves), default=0)
    head = ["attacked", *(method.name for method in methods)]
    counts = [[curve[place] if place < len(curve) else "" for curve in curves] for place in range(longest)]
    return to_csv([head, *([place + 1, *row] for place, row in enumerate(counts))])


def iterations_csv(methods: Sequence[Method]) -> str:
    """figure4.csv: for every method the mean iterations to success with a 95 % interval over blocks of images."""
    rows: list[list[object]] = [["method", "recovered", "mean", "ci_low", "ci_high"]]
    for method in methods:
        s = method.iterations
        rows.append([method.name, method.recovered, *([s.mean, s.low, s.high] if s else [None] * 3)])
    return to_csv(rows)


def draw_curves(text: str, families: Sequence[Family], title: str) -> bytes:
    """Figure 3 from its CSV: one panel per base attack, its controls dashed."""
    lines = parse_csv(text)
    figure, places = panels(len(families), title, (5.2, 4.2), across=len(families))
    for axes, family in zip(places, families, strict=True):
        for name, style in styles(family):
            points = [(int(line["attacked"]), int(line[name])) for line in lines if line.get(name)]
            if points:
                axes.plot(*zip((0, 0), *points, strict=True), label=name, **style)  # type: ignore[arg-type]
        axes.plot([0, len(lines)], [0, len(lines)], color=PALE, linewidth=0.5, linestyle=":")
        axes.set(
            xlabel="images attacked", ylabel="images recovered", xlim=(0, len(lines)), ylim=(0, len(lines))
        )
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=8)
    return png(figure)


def draw_iterations(text: str, families: Sequence[Family], title: str) -> bytes:
    """Figure 4 from its CSV: bars with intervals, one panel per base attack."""
    lines = {line["method"]: line for line in parse_csv(text)}
    figure, places = panels(len(families), title, (5.2, 3.4), across=len(families))
    for axes, family in zip(places, families, strict=True):
        names = [name for name in family.names if lines.get(name, {}).get("mean")]
        for place, name in enumerate(names):
            _bar(axes, place, lines[name], dict(styles(family))[name]["color"])
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set(xlabel="mean iterations to success")
    return png(figure)


def _bar(axes: "Axes", place: int, line: dict[str, str], color: object) -> None:
    mean = float(line["mean"])
    axes.barh(place, mean, color=str(color), height=0.65)
    right = mean
    if line["ci_low"]:
        low, right = float(line["ci_low"]), float(line["ci_high"])
        axes.errorbar(mean, place, xerr=[[mean - low], [right - mean]], color=INK, capsize=3, linewidth=1)
    axes.annotate(f" {mean:.1f}", (right, place), va="center", fontsize=8)


def styles(family: Family) -> list[tuple[str, dict[str, object]]]:
    """How the lines of a family's methods are drawn."""
    main = [family.base, family.feedback, family.noise]
    strong = [(name, {"color": color, "linewidth": 1.8}) for name, color in zip(main, STRONG, strict=True)]
    dashed = zip(family.controls, THIN, strict=False)
    return [*strong, *((name, {"color": color, "linewidth": 1, "linestyle": "--"}) for name, color in dashed)]
