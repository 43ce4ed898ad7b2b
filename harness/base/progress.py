"""Progress bars on stderr: one display for all that runs at once, plain lines where there is no terminal."""

import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from harness.base.clock import clock, left

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

QUIET_SECONDS = 10.0
"""How often plain lines come, at most."""
SELDOM = 20
"""Of steps under way they come no more often than so many times in what has passed."""


class Bar(Protocol):
    """What `task` hands out."""

    def advance(self, postfix: str = "", steps: int = 1, shares: float = 0.0) -> None:
        """Count finished steps; `postfix` says what the newest of them brought, `shares` how much is done of those
        that are under way."""

    def begin(self, shares: float, postfix: str = "") -> None:
        """Say how much of the steps that are under way is done, in sum: of two half done ones, 1.0.

        Where steps are of unequal length, those that have ended count here by how much longer than one they were:
        below zero where they were the short ones.
        """


@contextmanager
def task(
    description: str, total: int, done: int = 0, every: float = QUIET_SECONDS, worth: float = 0.0
) -> Iterator[Bar]:
    """A bar for `total` steps while the block runs, `done` of them before; nested tasks share one display.

    `worth`: how much of a step of the task around it each of its steps is, see `inside`.
    Without a terminal it is lines: at most one in `every` seconds, and one at the end of an outermost task.
    A worker process is silent: the process that started it counts what it finishes.
    """
    if multiprocessing.current_process().name != "MainProcess":
        yield _Silent()
    elif not sys.stderr.isatty():
        with _kept(_Lines(description, total, done, every, last=not _bars), worth) as bar:
            yield bar
    else:
        with _display() as display:
            identity = display.add_task(
                description, total=total, completed=done, done=done, before=done, postfix=""
            )
            try:
                with _kept(_Rich(display, identity, done), worth) as bar:
                    yield bar
            finally:
                display.remove_task(identity)


def inside() -> float:
    """How much of an outer task's step is done by the steps under way of the tasks in it."""
    return sum(worth * bar.shares for bar, worth in _bars)


@contextmanager
def _kept(bar: "_Shown", worth: float) -> Iterator["_Shown"]:
    _bars.append((bar, worth))
    try:
        yield bar
    finally:
        _bars.pop()


@contextmanager
def meanwhile(look: Callable[[], None], every: float) -> Iterator[None]:
    """Look again and again, in a thread, while the block runs, and once more when it has ended."""
    stop = threading.Event()

    def again() -> None:
        while not stop.wait(every):
            look()

    thread = threading.Thread(target=again, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        look()


def say(line: str) -> None:
    """A line on stderr, above the bars where there are any."""
    if _open:
        _open[0].console.print(line, markup=False, highlight=False)
    else:
        print(line, file=sys.stderr, flush=True)


class _Silent:
    def advance(self, postfix: str = "", steps: int = 1, shares: float = 0.0) -> None:
        """A worker has nobody to tell."""

    def begin(self, shares: float, postfix: str = "") -> None:
        """Nor of what is under way."""


class _Lines:
    def __init__(self, description: str, total: int, done: int, every: float, last: bool) -> None:
        self._description, self._total, self._every, self._last = description, total, every, last
        self._done = self._before = done
        self.shares = 0.0
        self._begun = time.monotonic()
        self._told = self._begun

    def advance(self, postfix: str = "", steps: int = 1, shares: float = 0.0) -> None:
        self._done, self.shares = self._done + steps, shares
        if self._due(self._every) or (self._last and self._done == self._total):
            self._tell(postfix)

    def begin(self, shares: float, postfix: str = "") -> None:
        self.shares = shares
        # A search of a day is no reason for a line every ten seconds.
        if self._due(max(QUIET_SECONDS, (self._told - self._begun) / SELDOM)):
            self._tell(postfix)

    def _due(self, every: float) -> bool:
        return time.monotonic() - self._told >= every

    def _tell(self, postfix: str) -> None:
        self._told = time.monotonic()
        count = f"[{self._done:{len(str(self._total))}d}/{self._total}]"
        spent = self._told - self._begun
        rest = left(spent, self._done + self.shares - self._before, self._total - self._before)
        words = clock(spent) + (f", about {clock(rest)} left" if rest else "")
        parts = [count, self._description, postfix, words]
        print("  ".join(part for part in parts if part), file=sys.stderr, flush=True)


class _Rich:
    def __init__(self, display: "Progress", identity: "TaskID", done: int) -> None:
        self._display, self._identity, self._done = display, identity, done
        self.shares = 0.0

    def advance(self, postfix: str = "", steps: int = 1, shares: float = 0.0) -> None:
        self._done, self.shares = self._done + steps, shares
        self._update(postfix)

    def begin(self, shares: float, postfix: str = "") -> None:
        self.shares = shares
        self._update(postfix)

    def _update(self, postfix: str) -> None:
        reached = self._done + self.shares
        self._display.update(self._identity, completed=reached, done=self._done, postfix=postfix)


_Shown = _Lines | _Rich

_bars: list[tuple[_Shown, float]] = []
"""The tasks of this process, outermost first, and what a step of each is worth."""

_open: list["Progress"] = []
"""The display on the screen, if there is one: rich allows only one at a time."""


@contextmanager
def _display() -> Iterator["Progress"]:
    if _open:
        yield _open[0]
        return
    from harness.base.display import display as new

    with new() as display:
        _open.append(display)
        try:
            yield display
        finally:
            _open.clear()
