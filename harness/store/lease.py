"""Who may write a run: a lease that one process at a time holds, on one machine or on many that share a disk.

A lease is a file `.lease-<n>`, linked into the directory whole, so that of two processes that want number n one gets
it; the highest number counts. The holder touches its file now and then. To take over from a dead one is to link n + 1
and then to remove n: a holder that lives after all notices it before it writes again.
No two clocks are compared. A holder is dead when its process has ended, on this machine, or when its file has stood
still for `expiry` seconds in which this process looked.
"""

import errno
import json
import os
import re
import secrets
import shutil
import socket
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from harness.base.errors import UserError
from harness.base.files import writing
from harness.base.numbers import Natural, Positive
from harness.store.integrity import plain

EXPIRY = 120.0
"""Seconds without a sign of life after which a holder on another machine counts as dead."""
BEATS = 12
"""Signs of life in that time."""
LOOK = 0.5
"""Seconds between two looks at what another process holds, for those who wait."""
PREFIX = ".lease-"
NUMBERED = re.compile(rf"{re.escape(PREFIX)}([0-9]{{1,18}})")


class Held(UserError):
    """Another process has the run."""


@dataclass(frozen=True)
class Holder:
    """The process behind a lease."""

    host: str
    machine: str
    pid: Natural
    born: str | None
    """What tells the process from a later one with the same number."""
    expiry: Positive

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Lease:
    """The right to write in a directory, until it is given back or its process ends."""

    def __init__(self, directory: Path, expiry: float = EXPIRY) -> None:
        """Take the lease. Raises Held when another process has it, and lives."""
        self._directory = directory
        with writing(directory):
            self._path = _take(directory, expiry)
        self._released = threading.Event()
        threading.Thread(target=self._beat, args=[expiry / BEATS], daemon=True).start()

    def renew(self) -> None:
        """Give a sign of life. Raises Held when another process has taken over: nothing may be written then."""
        try:
            os.utime(self._path)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ESTALE):
                raise
            raise Held(f"{self._directory} was taken over by another process") from error

    def release(self) -> None:
        """Let another process go on. The number stays, so that numbers only grow."""
        self._released.set()
        with suppress(FileNotFoundError):  # it was taken over, or the run was finished
            os.truncate(self._path, 0)

    def end(self) -> None:
        """Give the lease back for good, when nothing is left to be written."""
        self._released.set()
        self._path.unlink(missing_ok=True)

    def _beat(self, seconds: float) -> None:
        while not self._released.wait(seconds):
            with suppress(OSError):  # `renew` says it to those who can do something about it
                os.utime(self._path)


def holder(directory: Path) -> Holder | None:
    """The process that has the lease of a directory and lives; None: whoever wants it can have it."""
    number = _newest(directory)
    return _living(directory / f"{PREFIX}{number}") if number else None


def abandoned(directory: Path) -> int | None:
    """The number of a lease whose holder has died without giving it back; None where there is none."""
    number = _newest(directory)
    path = directory / f"{PREFIX}{number}"
    kept = number and path.exists() and path.stat().st_size
    return number if kept and not _living(path) else None


def tidy(directory: Path) -> None:
    """Clear what a process left in a finished run that died on its last steps; one that lives does so itself."""
    if not _newest(directory):
        return
    with suppress(UserError):  # a live process has it, or nothing can be written here
        lease = Lease(directory)
        shutil.rmtree(directory / "parts", ignore_errors=True)
        lease.end()


def _newest(directory: Path) -> int:
    """The highest number of a lease; 0 where there is none."""
    names = os.listdir(directory) if directory.is_dir() else []
    return max((int(found[1]) for name in names if (found := NUMBERED.fullmatch(name))), default=0)


def _take(directory: Path, expiry: float) -> Path:
    me = Holder(socket.gethostname(), _machine(), os.getpid(), _born(os.getpid()), expiry)
    while True:
        number = _newest(directory)
        old, new = (directory / f"{PREFIX}{n}" for n in (number, number + 1))
        if number and (other := _living(old)):
            raise Held(f"{directory} is being written by another process: {other}")
        if not _link(new, json.dumps(asdict(me))):
            continue  # another was faster
        if _newest(directory) == number + 1:
            with suppress(OSError):  # not found, or a folder: neither is in the way
                old.unlink()
            return new
        new.unlink(missing_ok=True)  # what was seen had long passed


def _link(path: Path, content: str) -> bool:
    """Create a file with its whole content, if there is none."""
    whole = path.with_name(f".{secrets.token_hex(8)}.tmp")
    with whole.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(whole, path)
    except (FileExistsError, FileNotFoundError):  # not found: a new holder has swept our file up
        return False
    finally:
        whole.unlink(missing_ok=True)
    return True


def _living(path: Path) -> Holder | None:
    """Who holds a lease; None when it was given back, or its holder is dead or this process itself.

    Of one that can't be read, somebody: then it must expire.
    """
    try:
        content = plain(path)  # to open it is to ask a network file system for what is there now
        beat = path.lstat().st_mtime_ns
        found = _HOLDER.validate_json(content) if content else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        found, beat = UNKNOWN, path.lstat().st_mtime_ns
    if found is None:
        return None
    if found.machine == _machine():
        born = _born(found.pid)
        alive = found.pid != os.getpid() and born is not None and found.born == born
    else:
        alive = not _silent(path, beat, found.expiry)
    return found if alive else None


_HOLDER = TypeAdapter(Holder)
UNKNOWN = Holder("a machine that its damaged lease does not name", "", 0, None, EXPIRY)
_seen: dict[Path, tuple[int, float]] = {}
"""When this process, by its own clock that never jumps, first saw a lease with the time that it still has."""


def _silent(path: Path, beat: int, expiry: float) -> bool:
    now = time.monotonic()
    last, since = _seen.setdefault(path, (beat, now))
    if last != beat:
        _seen[path] = beat, now
        return False
    return now - since > expiry


@cache
def _machine() -> str:
    """What process numbers are unique in: a boot of a kernel, and a container of it."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    if not boot.exists():  # not Linux: nobody sees whether another process lives, and every lease expires
        return secrets.token_hex(8)
    return f"{boot.read_text().strip()} {os.readlink('/proc/self/ns/pid')}"


def _born(pid: int) -> str | None:
    """When a process of this machine began; None when it has ended, or no one can tell."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else fields[18]
