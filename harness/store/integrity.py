"""How a damaged run is told from a whole one: result.json has the digest of every file of the run, and its own.

All that is read of a finished run is read here: plain files alone, each held against its digest. A run from before
there were digests is read with suspicion, and called not sealed. Needs no torch.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired

from pydantic import NonNegativeInt, TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict

from harness.base.errors import UserError, first_line
from harness.base.files import to_json
from harness.base.rows import Row
from harness.identity.digests import LENGTH

RESULT = "result.json"
"""Whose being there tells that a run is finished."""
ROWS, IMAGES, TRACES, CONFIG = "rows.jsonl", "reconstructions.safetensors", "traces.jsonl", "config.yaml"
MARK = "identity.json"
"""What a run is; by its being there, that the run's id is of today's scheme."""
METRICS = "metrics.json"
"""What the keys in the rows stand for that say by which settings they were scored."""
FILES = (ROWS, IMAGES, TRACES, CONFIG, MARK, METRICS, "gallery.png")
"""What is sealed. Loggers have files of their own beside it."""
ALTERED = "it is not as it was stored"
_OWN = b',\n "digest": "'
"""The last key of result.json: the digest of all that stands before it."""


class Damaged(UserError):
    """A file of a run that is not as it was stored, or can't be read."""

    def __init__(self, directory: Path, file: str, why: str) -> None:
        self.why = f"{file}, {why}"
        advice = "delete it, and the same command computes it again, or bring the file back"
        super().__init__(f"{directory} is damaged ({self.why}): {advice}")


@contextmanager
def reading(directory: Path, file: str) -> Iterator[None]:
    """The one boundary where stored files are read. Raises Damaged, whatever is wrong with what lies there."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # what lies on a disk may be anything
        raise Damaged(directory, file, _why(error)) from error


def _why(error: Exception) -> str:
    """In one line and without the value, which may be long."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg'].lower()}"
    return (getattr(error, "strerror", None) or first_line(error) or type(error).__name__).lower()


def plain(path: Path) -> bytes:
    """What a file holds. Raises OSError for what is none, such as a pipe, of which no end would come."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError("it is no file")
    with open(path, "rb") as file:
        return file.read()


def digest(content: bytes) -> str:
    """What a content is known by."""
    return hashlib.sha256(content).hexdigest()[:LENGTH]


def seals(directory: Path) -> dict[str, str]:
    """The digests of a run's files as they lie there."""
    return {name: digest(plain(directory / name)) for name in FILES if (directory / name).exists()}


def dump(content: Mapping[str, Any], files: Mapping[str, str]) -> bytes:
    """result.json of a run, sealed. Of a file about to be replaced, `files` has both digests, with a space between."""
    body = to_json({**content, "files": files}, indent=1).removesuffix("\n}").encode()
    return body + _OWN + f'{digest(body)}"\n}}\n'.encode()


@dataclass(frozen=True)
class StoredRun:
    """A finished run as it lies on disk."""

    directory: Path
    content: dict[str, Any]
    """Its id, configuration, summary and provenance."""
    files: Mapping[str, str] | None
    """The digests of its files; None where it is not sealed."""

    @classmethod
    def open(cls, directory: Path) -> "StoredRun":
        """Raises Damaged."""
        with reading(directory, RESULT):
            text = plain(directory / RESULT)
            content = from_json(text)
            files, own = content.pop("files", None), content.pop("digest", None)
            if (files, own) == (None, None):
                _CONTENT.validate_python(content, strict=True)
            else:
                _check(text, content, directory.name)
        return cls(directory, content, files)

    def read(self, name: str) -> bytes:
        """A file of the run. Raises Damaged."""
        with reading(self.directory, name):
            content = plain(self.directory / name)
            if self.files is not None and digest(content) not in self.files.get(name, "").split():
                raise ValueError(ALTERED)
        return content

    def check(self) -> None:
        """Read all files. Raises Damaged for the first that is not as it was stored."""
        for name in self.files or ():
            self.read(name)

    def rows(self) -> list[Row]:
        """One for each image. Raises Damaged."""
        content = self.read(ROWS)
        with reading(self.directory, ROWS):  # as one JSON, for there may be many
            rows: list[Row] = from_json(b"[" + content.strip().replace(b"\n", b",") + b"]")
            if self.files is None:
                _suspect(rows, self.content["summary"])
        return rows


def _check(text: bytes, content: Mapping[str, Any], name: str) -> None:
    """Hold result.json against its own digest, and its run against the folder it is in."""
    body, _, own = text.rpartition(_OWN)
    if own != f'{digest(body)}"\n}}\n'.encode():
        raise ValueError(ALTERED)
    if name not in (content["id"], content["provenance"].get("formerly")):  # before it is renamed: migrate
        raise ValueError(f"it is that of run {content['id']}")


def _suspect(rows: list[Row], summary: Mapping[str, Any]) -> None:
    """What can be said of rows without a digest. Raises ValueError."""
    counted = sum((summary.get("status") or {}).values()) or len(rows)
    if not rows or len(rows) != counted:
        raise ValueError(f"{len(rows)} of {counted} rows")
    _CELLS.validate_python(rows, strict=True)
    _ROWS.validate_python(rows, strict=True)
    if len({(row["problem"], row["image"]) for row in rows}) < len(rows):
        raise ValueError("an image has two rows")
    if missing := summary.keys() - {name for row in rows for name in row} - {"status"}:
        raise ValueError(f"no row has {min(missing)}")


class _Config(TypedDict, total=False):
    """What is read of a configuration without its being composed again."""

    choices: dict[str, str | None]
    dataset: dict[str, Any]
    attack: dict[str, Any]
    fl: dict[str, Any]
    prior: dict[str, Any]
    knowledge: dict[str, Any]
    scale: dict[str, Any]


class _Content(TypedDict):
    id: str
    config: _Config
    summary: dict[str, dict[str, Any] | None]
    provenance: dict[str, Any]


class _Row(TypedDict):
    problem: NonNegativeInt
    image: NonNegativeInt
    target: NotRequired[int]
    status: NotRequired[str]
    scored_by: NotRequired[str]


Cell = str | int | float | bool | None
_CONTENT = TypeAdapter(_Content)
_CELLS = TypeAdapter(list[dict[str, Cell | list[Cell]]])
_ROWS = TypeAdapter(list[_Row])
