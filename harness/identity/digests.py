"""Digests of what is on disk: of files, of whole folders, and of the code of packages from elsewhere."""

import hashlib
import importlib.util
import inspect
import os
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from pydantic_core import from_json, to_json

from harness.base.errors import UserError
from harness.base.files import write_atomically

UNSETTLED = 2_000_000_000
"""Nanoseconds after a change in which another one may leave the times as they are: such a digest is not kept."""
WORTH_KEEPING = 2**26
"""Bytes that take a tenth of a second to read and hash; what is less is hashed again in every process."""
PER_FILE = 2**16
"""Bytes that could be read in the time that it takes to open a file."""
LENGTH = 32
"""Hexadecimal digits of a digest."""


class DigestCache:
    """The digests of the files below a folder, kept from one process to the next where that saves time."""

    def __init__(self, folder: str) -> None:
        name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:LENGTH]
        self._path = cache_folder() / "digests" / f"{name}.json"
        self._kept: dict[str, str] = {}
        """Of each file its size, mtime_ns, ctime_ns and inode, which stay while its content does; and the digest."""
        with suppress(OSError, ValueError):  # none is kept, or none that can be read: all are hashed
            found = from_json(self._path.read_bytes())
            self._kept = found if isinstance(found, dict) else {}

    def digests(self, paths: Iterable[str]) -> list[str]:
        """The digest of each file. Raises OSError for one that can't be read."""
        found, spent = [], 0
        for path in paths:
            seen = os.stat(path)
            stamp = f"{seen.st_size} {seen.st_mtime_ns} {seen.st_ctime_ns} {seen.st_ino}"
            then, _, digest = str(self._kept.get(path)).rpartition(" ")
            if then != stamp:
                digest = _sha256(path)
                spent += seen.st_size + PER_FILE
                if time.time_ns() - max(seen.st_mtime_ns, seen.st_ctime_ns) > UNSETTLED:
                    self._kept[path] = f"{stamp} {digest}"
            found.append(digest)
        if spent > WORTH_KEEPING:
            self._keep()
        return found

    def _keep(self) -> None:
        with suppress(OSError, UserError):  # no such folder can be made here: the next process hashes again
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, to_json(self._kept), durable=False)


def cache_folder() -> Path:
    """Where the harness keeps what can be made again, for all stores of a user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harness"


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:LENGTH]


_known = cache(DigestCache)


def digests(folder: Path, paths: Sequence[str]) -> list[str]:
    """The digest of the content of each file below a folder. Raises OSError for one that can't be read."""
    return _known(str(folder)).digests(paths)


def combined(parts: Iterable[object]) -> str:
    """One digest of many values, in their order."""
    return hashlib.sha256("".join(f"{part!r}\n" for part in parts).encode()).hexdigest()[:LENGTH]


def content(path: Path) -> str | None:
    """A digest of a file, or of all files below a folder that are not hidden, with their places in it.

    None where there is nothing, which whoever reads it will say.
    """
    try:
        if not path.is_dir():
            return digests(path.parent, [str(path)])[0]
        files = visible(path)
        below = len(f"{path}/")
        names = [file[below:] for file in files]
        return combined(zip(names, digests(path, files), strict=True))
    except OSError:
        return None


def visible(folder: Path, ending: str = "") -> list[str]:
    """Every file below a folder that is not hidden, nor in a hidden folder; sorted."""
    found = []
    for path, folders, files in os.walk(folder, followlinks=True):
        here = os.path.realpath(path)
        folders[:] = [
            name
            for name in folders
            if not name.startswith((".", "__pycache__")) and not _holds(f"{path}/{name}", here)
        ]
        found += [f"{path}/{name}" for name in files if not name.startswith(".") and name.endswith(ending)]
    return sorted(found)


def _holds(link: str, inner: str) -> bool:
    """Whether a link leads back to a folder that it is in."""
    return os.path.islink(link) and f"{inner}/".startswith(f"{os.path.realpath(link)}/")


def code(cls: type) -> str:
    """A digest of every .py file of the top-level package that a class is from.

    Raises UserError for a class that was written into no file.
    """
    return _code(cls.__module__.partition(".")[0]) or combined([_written(cls)])


@cache
def _code(package: str) -> str | None:
    module = sys.modules.get(package)
    places = [*getattr(module, "__path__", [])] or [getattr(module, "__file__", None)]
    files = [file for place in places if place for file in _sources(Path(place))]
    return combined(files) if files else None


def _sources(place: Path) -> list[tuple[str, str | None]]:
    if place.is_dir():
        return [(os.path.relpath(file, place), content(Path(file))) for file in visible(place, ".py")]
    return [(place.name, content(place))]


def _written(cls: type) -> str:
    try:
        return inspect.getsource(cls)
    except (OSError, TypeError) as error:
        raise UserError(
            f"{cls.__qualname__} is in no file, so that its code can't be told from another: put it in a module"
        ) from error


@cache
def packaged(package: str, *names: str) -> str:
    """A digest of files that come with an installed package, which is not imported for it."""
    found = importlib.util.find_spec(package)
    places = (found and found.submodule_search_locations) or [""]
    return combined(content(Path(places[0]) / name) for name in names)
