"""Write a tuning down: candidates.csv, course.png, best.yaml for the rows of a table, tune.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from harness.base.files import write_atomically
from harness.base.rows import pipes, to_csv
from harness.plots.style import label, legend, panels, png, series
from harness.tuning.spec import Candidate, Tuning

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Tried:
    """What came of a candidate: the run, the metric of every image, its evaluations for an image, or why nothing."""

    run: str
    values: tuple[float, ...] = ()
    evaluations: float | None = None
    why: str = ""

    @property
    def value(self) -> float | None:
        """The mean over the images."""
        return sum(self.values) / len(self.values) if self.values else None


Course = list[tuple[Candidate, Tried]]


def render(
    tuning: Tuning, dataset: str, scale: str, many: int, tried: Mapping[Candidate, Tried], directory: Path
) -> str:
    """Write all that shows a tuning, finished or not. Returns what it found as text."""
    courses = {row: [(c, t) for c, t in tried.items() if c.row == row] for row in tuning.rows}
    courses = {row: sorted(course, key=lambda each: each[0].number) for row, course in courses.items()}
    images = max((len(t.values) for t in tried.values()), default=0)
    done = min(map(len, courses.values()))
    over = f"the same {images} images" if images > 1 else "one image"
    caption = (
        f"Data set {dataset}, scale {scale}: {done} of {many} candidates of each row, mean of {label(tuning.metric)}, "
        f"over {over} of those that a comparison by the same seed attacks last."
    )
    notes = [tuning.notes[name] for name in ("all", dataset, scale) if name in tuning.notes]
    lines = [[*_TITLES], *(_line(tuning, row, course) for row, course in courses.items())]
    failed = [f"{c.name}: no result ({t.why})." for c, t in tried.items() if t.value is None]
    directory.mkdir(parents=True, exist_ok=True)
    text = [f"# {tuning.title}", caption, "![The best so far, and every candidate](course.png)", pipes(lines)]
    text.append("\n".join(f"- {note}" for note in [*notes, *failed]))
    files = {
        "candidates.csv": to_csv(_table(tuning, courses)).encode(),
        "course.png": png(_course(tuning, courses)),
        "best.yaml": _best(tuning, caption, courses).encode(),
        "tune.md": ("\n\n".join(part for part in text if part) + "\n").encode(),
    }
    for name, content in files.items():
        write_atomically(directory / name, content)
    width = max(len(row) for row in tuning.rows)
    shown = [f"{line[0]:{width}}  {line[2]} -> {line[3]}  {line[4]}" for line in lines[1:]]
    return "\n".join([tuning.title, "", *shown, "", caption, *notes, *failed])


_TITLES = ("row", "evaluations for an image", "as it stands", "best", "best settings")


def _line(tuning: Tuning, row: str, course: Course) -> list[str]:
    best = _leader(tuning, course)
    if best is None:
        return [row, "-", "-", "-", "-"]
    candidate, found = best
    own = next((t.value for c, t in course if c.number == 0), None)
    settings = " ".join(f"{name}={value}" for name, value in candidate.settings)
    spent = "-" if found.evaluations is None else f"{found.evaluations:.0f}"
    return [row, spent, "-" if own is None else f"{own:.4g}", f"{found.value:.4g}", settings]


def _leader(tuning: Tuning, course: Course) -> tuple[Candidate, Tried] | None:
    """The best candidate, the earlier of equal ones."""
    known = [(c, t, t.value) for c, t in course if t.value is not None]
    if not known:
        return None
    sign = 1 if tuning.ascending else -1
    candidate, found, _ = max(known, key=lambda each: sign * each[2])
    return candidate, found


def _table(tuning: Tuning, courses: Mapping[str, Course]) -> list[Sequence[object]]:
    """Every candidate, with the settings of all rows as columns."""
    names = list(dict.fromkeys(name for row in tuning.rows.values() for name in row.space))
    lines: list[Sequence[object]] = [
        ("row", "candidate", *names, tuning.metric, "images", "evaluations", "run", "failed")
    ]
    for row, course in courses.items():
        for candidate, found in course:
            settings = dict(candidate.settings)
            values = [settings.get(name) for name in names]
            told = (found.value, len(found.values), found.evaluations, found.run, found.why or None)
            lines.append((row, candidate.number, *values, *told))
    return lines


def _best(tuning: Tuning, caption: str, courses: Mapping[str, Course]) -> str:
    """The best overrides of each row, as a table has them under `rows`."""
    rows = {}
    for row, course in courses.items():
        if (best := _leader(tuning, course)) is not None:
            settings = [f"{name}={value}" for name, value in best[0].settings]
            rows[row] = [*tuning.rows[row].overrides, *settings]
    return f"# {tuning.title}\n# {caption}\n" + yaml.safe_dump({"rows": rows}, sort_keys=False, width=110)


def _course(tuning: Tuning, courses: Mapping[str, Course]) -> "Figure":
    """The best so far over the candidates, a line for each row, and every candidate as a point."""
    figure, (axes,) = panels(1, tuning.title, size=(6.4, 3.6))
    better = max if tuning.ascending else min
    for (row, course), look in zip(courses.items(), series(len(courses)), strict=True):
        known = [(c.number + 1, t.value) for c, t in course if t.value is not None]
        if not known:
            continue
        places, values = [place for place, _ in known], [value for _, value in known]
        leading = [better(values[: count + 1]) for count in range(len(values))]
        axes.plot(places, values, look.marker, color=look.colour, alpha=0.35, markersize=4)
        axes.step(places, leading, look.line, where="post", color=look.colour, label=row)
    axes.set(xlabel="candidates", ylabel=label(tuning.metric))
    axes.locator_params(axis="x", integer=True)
    legend(figure, list(courses))
    return figure
