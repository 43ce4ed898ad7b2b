"""Progress bars on stderr: one display for all that runs at once, plain lines where there is no terminal."""

import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

QUIET_SECONDS = 10.0
"""How often plain lines come, at most."""


class Bar(Protocol):
    """What `task` hands out."""

    def advance(self, postfix: str = "", steps: int = 1) -> None:
        """Count finished steps; `postfix` says what the newest of them brought."""


@contextmanager
def task(description: str, total: int, done: int = 0, every: float = QUIET_SECONDS) -> Iterator[Bar]:
    """A bar for `total` steps while the block runs, `done` of them before; nested tasks share one display.

    Without a terminal it is lines: at most one in `every` seconds, and one at the end of an outermost task.
    A worker process is silent: the process that started it counts what it finishes.
    """
    if multiprocessing.current_process().name != "MainProcess":
        yield _Silent()
    elif not sys.stderr.isatty():
        nested = bool(_lines)
        _lines.append(description)
        try:
            yield _Lines(description, total, done, every, last=not nested)
        finally:
            _lines.pop()
    else:
        with _display() as display:
            identity = display.add_task(description, total=total, completed=done, postfix="")
            try:
                yield _Rich(display, identity)
            finally:
                display.remove_task(identity)


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
    def advance(self, postfix: str = "", steps: int = 1) -> None:
        """A worker has nobody to tell."""


class _Lines:
    def __init__(self, description: str, total: int, done: int, every: float, last: bool) -> None:
        self._description, self._total, self._every, self._last = description, total, every, last
        self._done = self._before = done
        self._begun = time.monotonic()
        self._told = self._begun

    def advance(self, postfix: str = "", steps: int = 1) -> None:
        self._done += steps
        now = time.monotonic()
        if now - self._told < self._every and not (self._last and self._done == self._total):
            return
        self._told = now
        count = f"[{self._done:{len(str(self._total))}d}/{self._total}]"
        spent = now - self._begun
        left = spent * (self._total - self._done) / (self._done - self._before)
        clock = f"{spent:.0f} s" + (f", about {left:.0f} s left" if left > 0 else "")
        parts = [count, self._description, postfix, clock]
        print("  ".join(part for part in parts if part), file=sys.stderr, flush=True)


class _Rich:
    def __init__(self, display: "Progress", identity: "TaskID") -> None:
        self._display, self._identity = display, identity

    def advance(self, postfix: str = "", steps: int = 1) -> None:
        self._display.update(self._identity, advance=steps, postfix=postfix)


_lines: list[str] = []
"""The tasks that are told as lines, outermost first."""

_open: list["Progress"] = []
"""The display on the screen, if there is one: rich allows only one at a time."""


@contextmanager
def _display() -> Iterator["Progress"]:
    if _open:
        yield _open[0]
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[postfix]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as display:
        _open.append(display)
        try:
            yield display
        finally:
            _open.clear()
