"""Runs that are handed on without their pictures: what a table needs of them, packed in one file beside it.

The rows, configuration, summary and provenance are whole. In result.json stands that the pictures are not there, and of
which shapes they were: a picture that is not there is NaN to whoever asks for it, and the course of its loss empty.
"""

import io
import json
import lzma
import math
import re
import tarfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from harness.base.errors import UserError
from harness.base.files import write_atomically
from harness.store.integrity import (
    CONFIG,
    IMAGES,
    MARK,
    METRICS,
    RESULT,
    ROWS,
    StoredRun,
    digest,
    dump,
    reading,
)
from harness.store.lease import holder

ARCHIVE = "runs.tar.xz"
PUBLISHED = "published"
"""In result.json: the shapes of the pictures that a run had which was handed on without them."""
KEPT = (ROWS, CONFIG, MARK, METRICS, RESULT)
"""What is handed on, in the order in which it is written: a run is finished when its result is there."""
_MEMBER = re.compile(rf"([0-9a-f]{{12}})/({'|'.join(map(re.escape, KEPT))})")

Files = Mapping[str, bytes]
"""The content of a run's files by name."""


def light(directory: Path, cleaned: Callable[[Any], Any]) -> Files:
    """A finished run as it is handed on; `cleaned` is what may be said of its configuration and provenance.

    Raises UserError where its files are damaged.
    """
    stored = StoredRun.open(directory)
    stored.check()
    found = {name: stored.read(name) for name in KEPT[:-1] if (directory / name).exists()}
    content = cleaned(stored.content)
    content[PUBLISHED] = content.get(PUBLISHED) or _shapes(directory)
    return found | {RESULT: dump(content, {name: digest(file) for name, file in found.items()})}


def _shapes(directory: Path) -> dict[str, list[int]]:
    with reading(directory, IMAGES), safe_open(str(directory / IMAGES), framework="pt") as images:
        names = images.keys()
        return {name: images.get_slice(name).get_shape() for name in names}


def pack(runs: Mapping[str, Files], path: Path) -> None:
    """Write an archive of runs by id: the same bytes for the same runs."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz", preset=9) as archive:
        for identity, files in sorted(runs.items()):
            for name in KEPT:
                if name in files:
                    member = tarfile.TarInfo(f"{identity}/{name}")
                    member.size = len(files[name])
                    archive.addfile(member, io.BytesIO(files[name]))
    write_atomically(path, buffer.getvalue())


def unpack(path: Path, wanted: Iterable[str] | None = None) -> dict[str, Files]:
    """The runs of an archive, all or those wanted. Raises UserError for what is no archive of runs."""
    ids = None if wanted is None else set(wanted)
    runs: dict[str, dict[str, bytes]] = {}
    try:
        with tarfile.open(path, "r:xz") as archive:
            for member in archive:
                named = _MEMBER.fullmatch(member.name)
                content = archive.extractfile(member) if named else None
                if named is None or content is None:
                    raise ValueError(f"{member.name[:80]!r} is no file of a run")
                if ids is None or named[1] in ids:
                    runs.setdefault(named[1], {})[named[2]] = content.read()
    except (OSError, EOFError, ValueError, lzma.LZMAError, tarfile.TarError) as error:
        raise UserError(f"{path} can't be read: {error}") from error
    return dict(runs)


def holdings(root: Path) -> dict[str, Path]:
    """Where the runs are that were published with the tables below a directory: the archive of each, by id.

    Raises UserError where a table does not say which runs it has.
    """
    found: dict[str, Path] = {}
    for archive in sorted(root.glob(f"*/*/{ARCHIVE}")):
        provenance = archive.parent / "provenance.json"
        try:
            cells = json.loads(provenance.read_text(encoding="utf-8"))["cells"]
            found |= {cell["run"]: archive for cell in cells if cell["finished"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{provenance} can't be read, publish its table again: {error}") from error
    return found


def vacant(directory: Path) -> bool:
    """Whether nobody has come anywhere with a run, and nobody is at it."""
    begun = any((directory / name).exists() for name in (RESULT, "parts"))
    return not begun and holder(directory) is None


def put(directory: Path, files: Files) -> None:
    """Write a run that was handed on into a store, where it was vacant."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        if name in files:
            write_atomically(directory / name, files[name])


def blank(stored: StoredRun) -> dict[str, Tensor] | None:
    """NaN in the shapes of the pictures of a run that was handed on without them; None: it has its pictures."""
    shapes = stored.content.get(PUBLISHED)
    return shapes and {name: torch.full(shape, math.nan) for name, shape in shapes.items()}


def absent(images: Tensor) -> bool:
    """Whether some of the pictures were not handed on."""
    return bool(images.isnan().any())
