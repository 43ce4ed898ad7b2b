"""The courses of optimisers as curves: one for each seed, their median, and where they end in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from harness.base.rows import parse_csv, pipes
from harness.plots.style import PALE, Look, legend, panels, png, series
from harness.store.records import Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Search = tuple[str, str, str]
"""Column, seed and problem: what rows have in common."""
Curve = list[tuple[int, float]]
"""Evaluations, from 1 on, and the matching loss of the best point by then."""


@dataclass(frozen=True)
class Line:
    """What a legend and a text say of a row."""

    name: str
    told: str
    initial: int | None
    """Evaluations of TuRBO's initial design."""


def course(trace: Trace, divisor: int = 1) -> Curve:
    """A trace without its regularisers, divided by a number; empty where it is from before there was a best loss."""
    return [
        (int(point["evaluation"]) + 1, (point["best"] - point.get("regularizers", 0.0)) / divisor)
        for point in trace
        if point.get("best") is not None
    ]


def curves(text: str, row: str) -> dict[Search, Curve]:
    """The courses of a row, from courses.csv."""
    found: dict[Search, Curve] = {}
    for each in parse_csv(text):
        if each["row"] == row:
            own = found.setdefault((each["column"], each["seed"], each["problem"]), [])
            own.append((int(each["evaluation"]), float(each["matching"])))
    return found


def middle(several: Sequence[Curve]) -> Curve:
    """The median of courses, at the evaluations that all of them have."""
    values = [dict(curve) for curve in several]
    shared = [place for place in values[0] if all(place in each for each in values)]
    return [(place, median(each[place] for each in values)) for place in shared]


def draw(text: str, lines: Sequence[Line], dataset: str) -> bytes:
    """A thin line for each seed, and a thick one for their median, over evaluations."""
    figure, (axes,) = panels(1, f"The matching loss at the best point so far, {dataset}", (6.4, 4.2))
    shown = [each for each in lines if curves(text, each.name)]
    for each, look in zip(shown, series(len(shown)), strict=True):
        _draw(axes, [*curves(text, each.name).values()], each, look)
    axes.set(
        xscale="log", yscale="log", xlabel="evaluations", ylabel="matching loss, squared distance / tensors"
    )
    legend(figure, [each.name for each in shown])
    return png(figure)


def _draw(axes: "Axes", several: Sequence[Curve], shown: Line, look: Look) -> None:
    for curve in several:
        axes.step(*zip(*curve, strict=True), where="post", color=look.colour, linewidth=0.5, alpha=0.5)
    label = f"{shown.name}, median of {len(several)}"
    axes.step(
        *zip(*middle(several), strict=True), where="post", color=look.colour, linewidth=2.2, label=label
    )
    if shown.initial is not None:
        axes.axvline(shown.initial, color=look.colour, linewidth=1, linestyle=":")
        axes.annotate(
            f"{shown.name}: end of the initial design ",
            (shown.initial, 0.02),
            xycoords=("data", "axes fraction"),
            rotation=90,
            ha="right",
            va="bottom",
            fontsize=7,
            color=PALE,
        )


def page(text: str, lines: Sequence[Line], dataset: str) -> str:
    """courses.md: what each line is, and where it ends."""
    found = {each.name: shown for each in lines if (shown := curves(text, each.name))}
    head = ("optimiser", "courses", "first, median", "last, median", "least", "most", "ends lowest")
    blocks = [
        f"## The course of each optimiser, {dataset}",
        "The matching loss of all rows is the squared distance of updates divided by the number of tensors, without "
        "regularisers, at the point that was best so far by the row's own objective: where that has a regulariser, the "
        "line may rise. It is read off every hundredth of a search's budget. Each seed draws a network of its own, "
        "with gradients as long as they are there: rows are to be compared seed by seed, as in the last column.",
        "\n".join(f"- {each.name}: {each.told}." for each in lines),
        pipes([head, *(_ends(name, found) for name in found)]),
        "![Courses](courses.png)",
    ]
    return "\n\n".join(blocks) + "\n"


def _ends(row: str, found: Mapping[str, Mapping[Search, Curve]]) -> tuple[str, ...]:
    own = found[row]
    last = {search: curve[-1][1] for search, curve in own.items()}
    shared = [search for search in own if all(search in each for each in found.values())]
    lowest = sum(last[search] == min(each[search][-1][1] for each in found.values()) for search in shared)
    numbers = (median(curve[0][1] for curve in own.values()), median(last.values()))
    spread = (min(last.values()), max(last.values()))
    return (
        row,
        str(len(own)),
        *(f"{number:.4g}" for number in (*numbers, *spread)),
        f"{lowest} of {len(shared)}",
    )
