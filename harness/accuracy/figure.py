"""Figure 48: the curves of all networks, with what the paper says that they reach."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.accuracy.curve import Curve, Point
from harness.base.files import to_json, write_atomically
from harness.base.schema import EXPERIMENTS
from harness.plots.style import panels, png, series

REFERENCE = EXPERIMENTS / "reference" / "noteasy_fig48.csv"
TITLE = "Test accuracy over federated rounds"
PUBLISHED = "the paper, on CIFAR-10 after 100 rounds"
ROUNDS, IMAGES = 100, 40_000
"""Of the paper's curves: four fifths of CIFAR-10's training images are trained on."""
NEARLY = 0.95
"""The share of those images that counts as all of them."""


def published() -> dict[str, tuple[float | None, str]]:
    """Per cent that each network of the paper reaches in 100 rounds, and whether it converges."""
    with REFERENCE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        row["model"]: (
            float(row["test_accuracy_pct"]) if row["test_accuracy_pct"] else None,
            row["converges"],
        )
        for row in rows
    }


def load(directory: Path) -> dict[str, Curve]:
    """The curves that were written before, by the network's name."""
    path = directory / "curves.csv"
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    found: dict[str, Curve] = {}
    for row in rows:
        empty = Curve(row["model"], [], int(row["trained_on"]), int(row["tested_on"]))
        found.setdefault(row["model"], empty).points.append(Point.read(row))
    return found


def write(curves: Sequence[Curve], caption: str, provenance: dict[str, Any], directory: Path) -> None:
    """curves.csv, figure.png, table.md and provenance.json."""
    directory.mkdir(parents=True, exist_ok=True)
    write_atomically(directory / "curves.csv", _csv(curves).encode())
    write_atomically(directory / "figure.png", _picture(curves))
    write_atomically(directory / "table.md", _table(curves, caption).encode())
    told = {"title": TITLE, **provenance}
    write_atomically(directory / "provenance.json", (to_json(told, indent=1) + "\n").encode())


def _csv(curves: Sequence[Curve]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        ["model", "round", "test_accuracy", "test_loss", "cpu_seconds", "trained_on", "tested_on"]
    )
    for curve in curves:
        for point in curve.points:
            writer.writerow([curve.name, *asdict(point).values(), curve.trained_on, curve.tested_on])
    return buffer.getvalue()


def _picture(curves: Sequence[Curve]) -> bytes:
    from matplotlib.ticker import MaxNLocator

    figure, (axes,) = panels(1, f"{TITLE}\ndotted: {PUBLISHED}", (5.6, 3.8))
    ends = published()
    for look, curve in zip(series(len(curves)), curves, strict=True):
        rounds = [point.round for point in curve.points]
        accuracy = [100 * point.test_accuracy for point in curve.points]
        count = f"{rounds[-1]} round{'s' if rounds[-1] != 1 else ''}"
        name = f"{curve.name}, {count}, {curve.trained_on:,} images"
        axes.plot(rounds, accuracy, color=look.colour, linestyle=look.line, linewidth=1.6, label=name)
        end, _ = ends.get(curve.name, (None, ""))
        if end is not None:
            axes.axhline(end, color=look.colour, linewidth=0.8, linestyle=":")
    axes.set(xlabel="round", ylabel="test accuracy, %", ylim=(0, 100))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=1, frameon=False, fontsize=8)
    return png(figure)


def _table(curves: Sequence[Curve], caption: str) -> str:
    lines = [f"# {TITLE}", "", caption, ""]
    lines += [
        f"| network | rounds | training images | test images | accuracy, last round | best | {PUBLISHED} |",
        "|---|---|---|---|---|---|---|",
    ]
    ends = published()
    for curve in curves:
        end, converges = ends.get(curve.name, (None, ""))
        shown = "no number" if end is None else f"{end:g} %"
        last, best = curve.points[-1], max(point.test_accuracy for point in curve.points)
        lines.append(
            f"| {curve.name} | {last.round} | {curve.trained_on:,} | {curve.tested_on:,} "
            f"| {100 * last.test_accuracy:.1f} % | {100 * best:.1f} % | {shown}; converges: {converges} |"
        )
    return "\n".join([*lines, *short_of_the_paper(curves)]) + "\n"


def short_of_the_paper(curves: Sequence[Curve]) -> list[str]:
    """What curves that are shorter than the paper's, or of fewer images, can't say of its numbers."""
    told = [
        f"{curve.name}, {curve.points[-1].round} rounds on {curve.trained_on:,} images"
        for curve in curves
        if curve.points[-1].round < ROUNDS or curve.trained_on < NEARLY * IMAGES
    ]
    if not told:
        return []
    return [
        "",
        f"The paper's curves are of {ROUNDS} rounds on {IMAGES:,} images. Shorter ones, or ones of fewer images, "
        "neither confirm its numbers nor contradict them: an accuracy below the paper's may be for want of rounds or "
        f"images alone, and whether a network converges is not seen. That goes for {'; '.join(told)}.",
    ]
