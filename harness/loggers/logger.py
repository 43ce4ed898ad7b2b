"""What a run tells the outside while it works: the abstract logger, and the one that says nothing."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from PIL.Image import Image
from typing_extensions import override

from harness.base.errors import warn
from harness.base.numbers import Natural
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
    """The table or sweep that the run belongs to, else its data set."""
    job_type: str | None = None
    """The row of the table, else the attack."""
    name: str | None = None
    """What people call the run; None: its id."""
    tags: tuple[str, ...] = ()

    @property
    def runs(self) -> Path:
        """The directory of all runs, where loggers keep what doesn't belong to one run alone."""
        return self.directory.parent


@dataclass(frozen=True, eq=False)
class News:
    """Where a search under way is: the loss and what it is made of, and now and then a picture."""

    problem: int
    attempt: int | None
    """None where there is but one."""
    evaluation: int
    share: float
    """Of the budget that is spent, in [0, 1]."""
    measure: Callable[[], dict[str, float]]
    """Works out the values where the search is now; who does not log them saves it the time."""
    picture: Image | None = None
    """Truth above reconstruction."""

    @cached_property
    def values(self) -> dict[str, float]:
        """The loss, what it is made of, and with a picture how right its labels are. To be asked at once, or never."""
        return self.measure()

    @property
    def series(self) -> str:
        """What its curve is called: by the problem, and the attempt where there are several."""
        return str(self.problem) if self.attempt is None else f"{self.problem}.{self.attempt}"


class Session:
    """An open run of a logger; here, one that logs nothing.

    As a context manager it closes the run as failed when the block raises. A run that is killed and resumed
    has one session for each process, with the same `RunInfo.id`: each logs the images that it finished, and
    only `finish` sees them all, unless it forgets.
    """

    forgets: bool = False
    """Whether what earlier sessions of the run logged is lost: then it is logged again."""

    every: int = 0
    """Steps of a search between two pictures of it; 0: none."""

    def forgetful(self) -> "Session":
        """What of it forgets: that is told again of images that are finished when a run goes on."""
        return self if self.forgets else Session()

    def follows(self, problem: int) -> bool:
        """Whether it is to hear of the search for a problem while that lasts."""
        return False

    def follow(self, news: News) -> None:
        """Log where a search is; several may be under way at once."""

    def image(self, problem: int, rows: list[Row], trace: Trace) -> None:
        """Log one finished reconstruction: one row of scores per image, and the course of its loss."""

    def picture(self, problem: int, evaluation: int, draw: Callable[[], Image]) -> None:
        """Log a picture of a finished reconstruction, the truth above it: `draw` draws that."""

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

    @property
    def names(self) -> tuple[str, ...]:
        """Where it logs, as a record remembers it."""
        return (type(self).__name__,)

    @abstractmethod
    def open(self, run: RunInfo) -> Session:
        """Begin to log a run, or go on with one that was interrupted."""


class LiveSession(Session):
    """One that follows searches, and knows what of their curves it has logged by the time that they end."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.heard: dict[str, int] = {}
        """By series, the last evaluation that is logged."""

    @override
    def follows(self, problem: int) -> bool:
        return True

    def rest(
        self, problem: int, trace: Trace, points: int | None = None
    ) -> list[tuple[int, dict[str, float]]]:
        """What of a trace is not logged yet: see `curve`. Of several attempts that is all of the best one's."""
        heard = self.heard.get(str(problem), -1)
        return [point for point in curve(trace, points) if point[0] > heard]


@component
class LiveLogger(Logger, ABC):
    """One that follows searches while they last."""

    every: Natural = 100
    """Steps between two pictures of a search under way; 0: none. Its curve has about a hundred points."""


@component
class NoLogger(Logger):
    """Log nothing: the run's own directory holds all results anyway."""

    @override
    def open(self, run: RunInfo) -> Session:
        return Session()


def warn_unlogged(finished: Iterable[tuple[Record, Logger]]) -> None:
    """Say, in one line, that runs were finished before the logger was chosen that is chosen now."""
    others = [(record, new) for record, logger in finished if (new := _new(record, logger))]
    for record, new in others[:1]:
        warn(
            f"{' and '.join(new)} was chosen after {len(others)} of the runs were finished, such as {record.id}: "
            "it logs nothing of them"
        )


def _new(record: Record, logger: Logger) -> list[str]:
    """Where a finished run is not logged, and would be now."""
    known = str(record.provenance.get("logger", ", ".join(logger.names))).split(", ")
    return [name for name in logger.names if name not in known and name != NoLogger.__name__]


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
