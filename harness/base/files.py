"""Files that are there whole or not at all, and strict JSON."""

import errno
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness.base.errors import UserError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises UserError, naming the path and what to do, where the system lets nothing more be written."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        remedy = "choose another place: paths.runs=FOLDER, paths.results=FOLDER"
        if error.errno in FULL:
            remedy = "make room and say the same command again, which goes on from what is stored"
        raise UserError(f"can't write {path} ({reason}): {remedy}") from error


def check_writable(directory: Path) -> None:
    """Raises UserError unless files can be written to a directory, which is made where it is not there."""
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
    probe = directory / "probe"
    write_atomically(probe, b"")
    probe.unlink(missing_ok=True)  # another process may look at the same moment


def write_atomically(path: Path, content: bytes, durable: bool = True) -> None:
    """Write a file so that it is there whole or not at all, whenever the process dies.

    `durable`: when the power fails too, which takes milliseconds that what can be made again is not worth. Raises
    UserError where it can't be written.
    """
    if not path.name or path.is_dir():
        raise UserError(f"{path} is a folder: name the file to write")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)  # on a full disk what was half written is in the way
            raise


def shown(path: Path) -> Path:
    """The path as a command in this folder needs it: relative where it lies in the folder, else whole."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def slug(name: str) -> str:
    """What somebody called something, as a part of a file's name: `Soteria 60 %` is `soteria-60`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def to_json(value: object, indent: int | None = None) -> str:
    """Strict JSON: a number that JSON can't hold (NaN, infinity) becomes null."""
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False, indent=indent)
    except (ValueError, TypeError):  # rare, and to look for it first takes longer than to write
        return json.dumps(_finite(value), allow_nan=False, ensure_ascii=False, indent=indent)


def to_json_lines(content: Mapping[str, object]) -> str:
    """Strict JSON with a line for each key, and one for each item of a list: what has changed is seen at a glance."""
    return "{\n" + ",\n".join(f" {to_json(key)}: {_lines(item)}" for key, item in content.items()) + "\n}\n"


def _lines(value: object) -> str:
    if not isinstance(value, list | tuple) or not value:
        return to_json(value)
    return "[\n  " + ",\n  ".join(map(to_json, value)) + "\n ]"


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
