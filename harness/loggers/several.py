"""Several loggers at once: `logger=[wandb,csv]`."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import field
from pathlib import Path

from PIL.Image import Image
from typing_extensions import override

from harness.base.rows import Row
from harness.core import Record, component
from harness.loggers.logger import Logger, News, RunInfo, Session
from harness.store.records import Trace


@component
class Several(Logger):
    """Each logs all, by its own settings; pictures come as often as the one that asks for most has them."""

    loggers: dict[str, Logger] = field(default_factory=dict)
    """By the name that each was chosen by."""

    @property
    @override
    def names(self) -> tuple[str, ...]:
        return tuple(name for logger in self.loggers.values() for name in logger.names)

    @override
    def open(self, run: RunInfo) -> Session:
        with ExitStack() as opened:
            sessions = [opened.enter_context(logger.open(run)) for logger in self.loggers.values()]
            opened.pop_all()
        return SeveralSessions(sessions)


class SeveralSessions(Session):
    """Sessions of one run, each of which is told all that it wants to hear."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self.sessions = sessions
        self.every = min((session.every for session in sessions if session.every), default=0)

    @override
    def forgetful(self) -> Session:
        return SeveralSessions([session.forgetful() for session in self.sessions])

    @override
    def follows(self, problem: int) -> bool:
        return any(session.follows(problem) for session in self.sessions)

    @override
    def follow(self, news: News) -> None:
        for session in self.sessions:
            if session.follows(news.problem):
                session.follow(news)

    @override
    def image(self, problem: int, rows: list[Row], trace: Trace) -> None:
        for session in self.sessions:
            session.image(problem, rows, trace)

    @override
    def picture(self, problem: int, evaluation: int, draw: Callable[[], Image]) -> None:
        for session in self.sessions:
            session.picture(problem, evaluation, draw)

    @override
    def finish(self, record: Record, gallery: Path | None) -> None:
        for session in self.sessions:
            session.finish(record, gallery)

    @override
    def fail(self, message: str) -> None:
        for session in self.sessions:
            session.fail(message)
