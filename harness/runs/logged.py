"""What a run's logger is told of finished images."""

from collections.abc import Mapping

from PIL.Image import Image
from torch import Tensor

from harness.base.rows import Row
from harness.loggers.logger import Session
from harness.plots.pictures import pair
from harness.store.iterates import Report, shown
from harness.store.recording import Journal, Trace


def log(
    session: Session, stored: Journal, pictured: bool, problem: int, rows: list[Row], trace: Trace
) -> None:
    """Tell of one that is stored: its rows, as they are shown, the course of its loss, and where it is `pictured` the
    picture of it: of an attack on labels, and of mere training, there is none."""
    session.image(problem, rows, trace)
    last = int(trace[-1].get("evaluation", len(trace) - 1)) if trace else 0
    if pictured:
        session.picture(problem, last, lambda: _drawn(stored.images(problem)))


def log_again(session: Session, stored: Journal, pictured: bool, report: Report) -> None:
    """Tell of those that were finished before the run was interrupted."""
    for problem in sorted(stored.finished):
        log(session, stored, pictured, problem, shown_rows(stored, problem, report), stored.trace(problem))


def shown_rows(stored: Journal, problem: int, report: Report) -> list[Row]:
    """The rows of a stored problem, by the iterate that is reported."""
    return [shown(row, report) for row in stored.rows if row["problem"] == problem]


def _drawn(images: Mapping[str, Tensor]) -> Image:
    return pair(images["truth"], images["reconstruction"])
