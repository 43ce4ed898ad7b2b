"""What a run tells the outside while it works: the abstract logger, and the one that says nothing."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from typing_extensions import override

from harness.base.errors import warn
from harness.base.rows import Row
from harness.core import Component, Record, component
from harness.core.columns import NAMES
from harness.store.records import Trace


@dataclass(frozen=True)
class RunInfo:
    """What a logger may know when a run begins; `directory` is the run's own, `<runs>/<id>`."""

    id: str
    directory: Path
    config: dict[str, Any]
    group: str | None = None
    """The table or sweep that the run belongs to."""
    job_type: str | None = None
    """The row of the table."""
    name: str | None = None
    """What people call the run; None: its id."""
    tags: tuple[str, ...] = ()

    @property
    def runs(self) -> Path:
        """The directory of all runs, where loggers keep what doesn't belong to one run alone."""
        return self.directory.parent


class Session:
    """An open run of a logger; here, one that logs nothing.

    As a context manager it closes the run as failed when the block raises. A run that is killed and resumed
    has one session for each process, with the same `RunInfo.id`: each logs the images that it finished, and
    only `finish` sees them all, unless it forgets.
    """

    forgets: bool = False
    """Whether what earlier sessions of the run logged is lost: then it is logged again."""

    def image(self, problem: int, rows: list[Row], trace: Trace) -> None:
        """Log one finished reconstruction: one row of scores per image, and the course of its loss."""

    def finish(self, record: Record, gallery: Path | None) -> None:
        """Log the whole record and the picture grid, and close the run as finished."""

    def fail(self, message: str) -> None:
        """Close the run as failed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            self.fail(f"{kind.__name__}: {error}")


@component
class Logger(Component, ABC):
    """Where a run is logged. A new one is a file in harness/loggers and a YAML in conf/logger."""

    @abstractmethod
    def open(self, run: RunInfo) -> Session:
        """Begin to log a run, or go on with one that was interrupted."""


@component
class NoLogger(Logger):
    """Log nothing: the run's own directory holds all results anyway."""

    @override
    def open(self, run: RunInfo) -> Session:
        return Session()


def warn_unlogged(finished: Iterable[tuple[Record, Logger]]) -> None:
    """Say, in one line, that runs were finished before the logger was chosen that is chosen now."""
    others = [
        (record, logger)
        for record, logger in finished
        if record.provenance.get("logger", type(logger).__name__) != type(logger).__name__
        and not isinstance(logger, NoLogger)
    ]
    for record, logger in others[:1]:
        warn(
            f"{type(logger).__name__} was chosen after {len(others)} of the runs were finished, such as {record.id}: "
            "it logs nothing of them"
        )


def scores(row: Mapping[str, Any]) -> dict[str, float]:
    """The measured numbers of a row, booleans as 0 and 1; without names, texts and missing values."""
    return {
        name: float(value)
        for name, value in row.items()
        if name not in NAMES and isinstance(value, int | float)
    }


def curve(trace: Trace, points: int | None = None) -> list[tuple[int, dict[str, float]]]:
    """A trace as (evaluation, values), thinned evenly to at most `points` >= 2 with both ends kept.

    A point that doesn't name its `evaluation` stands at its place in the trace.
    """
    found = [
        (int(point.get("evaluation", place)), {k: v for k, v in point.items() if k != "evaluation"})
        for place, point in enumerate(trace)
    ]
    if points is None or len(found) <= points:
        return found
    return [found[round(k * (len(found) - 1) / (points - 1))] for k in range(points)]
