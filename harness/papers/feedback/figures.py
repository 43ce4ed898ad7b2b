"""Figures 3 and 4 of the feedback-blending paper, as CSV and as pictures of that very CSV."""

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from harness.core import component
from harness.papers.feedback.methods import Method

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, PALE = "#1a1a1a", "#767676"
STRONG = (INK, "#1f6fb4", "#c23b22")
"""The base, the feedback and the noise factor."""
THIN = ("#2e8b57", "#b8860b", "#7b4fa3", "#767676")


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
    return to_text([head, *([place + 1, *row] for place, row in enumerate(counts))])


def iterations_csv(methods: Sequence[Method]) -> str:
    """figure4.csv: for every method the mean iterations to success with a 95 % interval over blocks of images."""
    rows: list[list[object]] = [["method", "recovered", "mean", "ci_low", "ci_high"]]
    for method in methods:
        s = method.iterations
        rows.append([method.name, method.recovered, *([s.mean, s.low, s.high] if s else [None] * 3)])
    return to_text(rows)


def draw_curves(text: str, families: Sequence[Family], title: str) -> bytes:
    """Figure 3 from its CSV: one panel per base attack, its controls dashed."""
    lines = list(csv.DictReader(io.StringIO(text)))
    figure, panels = _panels(len(families), title, height=4.2)
    for axes, family in zip(panels, families, strict=True):
        for name, style in styles(family):
            points = [(int(line["attacked"]), int(line[name])) for line in lines if line.get(name)]
            axes.plot(*zip((0, 0), *points, strict=True), label=name, **style)  # type: ignore[arg-type]
        axes.plot([0, len(lines)], [0, len(lines)], color=PALE, linewidth=0.5, linestyle=":")
        axes.set(
            xlabel="images attacked", ylabel="images recovered", xlim=(0, len(lines)), ylim=(0, len(lines))
        )
        axes.legend(frameon=False, fontsize=8)
    return png(figure)


def draw_iterations(text: str, families: Sequence[Family], title: str) -> bytes:
    """Figure 4 from its CSV: bars with intervals, one panel per base attack."""
    lines = {line["method"]: line for line in csv.DictReader(io.StringIO(text))}
    figure, panels = _panels(len(families), title, height=3.4)
    for axes, family in zip(panels, families, strict=True):
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


def _panels(count: int, title: str, height: float) -> tuple["Figure", list["Axes"]]:
    figure, rows = grid(1, count, title, height)
    return figure, rows[0]


def grid(rows: int, columns: int, title: str, height: float) -> tuple["Figure", list[list["Axes"]]]:
    """A figure of panels, each so high, row by row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * columns, rows * height), layout="constrained")
    figure.suptitle(title, fontsize=10)
    panels = [list(row) for row in figure.subplots(rows, columns, squeeze=False)]
    for axes in (axes for row in panels for axes in row):
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def png(figure: "Figure") -> bytes:
    """The picture as a file's content."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def to_text(rows: Sequence[Sequence[object]]) -> str:
    """Rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
