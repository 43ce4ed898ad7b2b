"""Ctrl-C: the first asks the work to stop where nothing is lost, the second stops it at once."""

import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

STOP = "HARNESS_STOP_FILE"
"""The variable that names, for a command and the workers that it starts, the file that asks them all to stop."""
NEWS = b"harness: stopping after the current image; Ctrl-C again stops at once\n"


class Interrupted(BaseException):
    """The work has stopped where it was asked to. No Exception, for it is nobody's failure."""


def requested() -> bool:
    """Whether somebody has asked the work to stop, or nobody is left to work for."""
    path, parent = os.environ.get(STOP), multiprocessing.parent_process()
    return (path is not None and os.path.exists(path)) or (parent is not None and _ended(parent.pid))


def _ended(pid: int | None) -> bool:
    """Whether a process is no more: joblib's workers can't ask their parent's own object."""
    try:
        os.kill(pid or os.getpid(), 0)
    except ProcessLookupError:
        return True
    return False


def check() -> None:
    """Raises Interrupted if somebody has asked the work to stop."""
    if requested():
        raise Interrupted("stopped as asked")


@contextmanager
def listening() -> Iterator[None]:
    """Let the first SIGINT while the block runs be a request, the second a KeyboardInterrupt."""
    if STOP in os.environ or threading.current_thread() is not threading.main_thread():
        yield
        return
    stop = Path(tempfile.gettempdir()) / f"harness-{os.getpid()}-{os.urandom(4).hex()}.stop"

    def ask(_number: int, _frame: FrameType | None) -> None:
        if stop.exists():
            raise KeyboardInterrupt
        os.write(2, NEWS)  # print could be what the signal has interrupted
        stop.touch()

    before = signal.signal(signal.SIGINT, ask)
    os.environ[STOP] = str(stop)
    try:
        yield
    finally:
        del os.environ[STOP]
        signal.signal(signal.SIGINT, before)
        stop.unlink(missing_ok=True)


def is_worker() -> bool:
    """Whether another process of the harness started this one, and looks after it."""
    return multiprocessing.current_process().name != "MainProcess"


def leave_to_parent() -> None:
    """In a worker, ignore SIGINT: a terminal sends it to all processes, and the parent passes it on by the file."""
    if is_worker() and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
