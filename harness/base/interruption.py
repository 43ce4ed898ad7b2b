"""Ctrl-C: the first asks the work to stop where nothing is lost, the second stops it at once."""

import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

STOP = "HARNESS_STOP_FILE"
"""The variable that names, for a command and the workers that it starts, the file that asks them all to stop."""
NEWS = b"harness: stopping after the current image; Ctrl-C again stops at once\n"

LOOK = 1.0
"""Seconds between two looks whether a process is still there."""
GRACE = 600.0
"""Seconds that a cluster may take to carry out what it has announced."""


class Interrupted(BaseException):
    """The work has stopped where it was asked to. No Exception, for it is nobody's failure."""


class Completed(Interrupted):
    """The work was asked to stop, and all of it was done by then."""


_termination = threading.Event()
"""Set when the cluster has announced the end of this process."""


def requested() -> bool:
    """Whether somebody has asked the work to stop, or nobody is left to work for."""
    path, parent = os.environ.get(STOP), multiprocessing.parent_process()
    return (
        _termination.is_set()
        or (path is not None and _is_there(Path(path)))
        or (parent is not None and _ended(parent.pid))
    )


def _is_there(path: Path) -> bool:
    """Whether a file is there now: to open its folder is to ask a network file system for what others have made."""
    with suppress(OSError):
        os.close(os.open(path.parent, os.O_RDONLY))
    return path.exists()


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
    asked = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        if asked.is_set():  # here: that the file is there may be another rank's doing, by the same Ctrl-C
            raise KeyboardInterrupt
        asked.set()
        os.write(2, NEWS)  # print could be what the signal has interrupted
        Path(os.environ[STOP]).touch()

    before = signal.signal(signal.SIGINT, ask)
    os.environ[STOP] = str(stop)
    try:
        yield
    finally:
        del os.environ[STOP]
        signal.signal(signal.SIGINT, before)
        stop.unlink(missing_ok=True)


@contextmanager
def reaching(stop: Path) -> Iterator[None]:
    """Have a request, while the block runs, be another file: one that workers on other machines see too."""
    here = os.environ.get(STOP)
    os.environ[STOP] = str(stop)
    if here and Path(here).exists():  # asked for just before
        stop.touch()
    try:
        yield
    finally:
        if here is None:
            del os.environ[STOP]
        else:
            if stop.exists():
                Path(here).touch()
            os.environ[STOP] = here


def is_worker() -> bool:
    """Whether another process of the harness started this one, and looks after it."""
    return multiprocessing.current_process().name != "MainProcess"


def leave_to_parent() -> None:
    """In a worker, ignore SIGINT: a terminal sends it to all processes, and the parent passes it on by the file."""
    if is_worker() and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def follow_parent() -> None:
    """In a worker that has done its work, end when its parent has: joblib's would wait for more for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.pid,), daemon=True).start()


def _follow(pid: int | None) -> None:
    while not _ended(pid):
        time.sleep(LOOK)
    os._exit(1)


def attend(stop: Path) -> None:
    """In a worker on a cluster, heed the file `stop`, and SIGTERM, by which a cluster announces the end of a job."""
    os.environ[STOP] = str(stop)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: _termination.set())


def await_termination() -> None:
    """Where the cluster has announced the end, wait for it: a job that ends by itself is not queued again."""
    if _termination.is_set():
        time.sleep(GRACE)
