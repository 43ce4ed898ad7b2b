"""What is in the files of a run: the images and the loss of its problems, together and each by itself."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import safetensors.torch
from pydantic import TypeAdapter
from safetensors import safe_open
from torch import Tensor
from typing_extensions import TypedDict

from harness.base.files import to_json, write_atomically
from harness.identity.digests import LENGTH
from harness.store.integrity import ALTERED, IMAGES, RESULT, TRACES, StoredRun, reading
from harness.store.published import PUBLISHED, blank

Trace = list[dict[str, float]]


def images(stored: StoredRun) -> dict[str, Tensor]:
    """The tensors of a finished run by name, NaN where they were not handed on. Raises Damaged."""
    with reading(stored.directory, RESULT):
        if blanks := blank(stored):
            return blanks
    content = stored.read(IMAGES)
    with reading(stored.directory, IMAGES):
        found = dict(sorted(safetensors.torch.load(content).items()))
        if not len(found["truth"]) == len(found["reconstruction"]):
            raise ValueError("truths and reconstructions are not equally many")
    return found


def traces(stored: StoredRun) -> dict[int, Trace]:
    """The course of the loss of a finished run, by problem, empty where it was not handed on. Raises Damaged."""
    if stored.content.get(PUBLISHED):
        return {row["problem"]: [] for row in stored.rows()}
    content = stored.read(TRACES)
    with reading(stored.directory, TRACES):
        lines = [_LINE.validate_json(line) for line in content.splitlines()]
    return {line["problem"]: cast(Trace, line["trace"]) for line in lines}


@dataclass(frozen=True)
class Part:
    """What one problem of a run that goes on has come to."""

    images: dict[str, Tensor]
    trace: Trace


def write_part(path: Path, images: Mapping[str, Tensor], trace: Trace, durable: bool = True) -> None:
    """Keep what one problem has come to."""
    plain = {name: tensor.detach().cpu().float().clone().contiguous() for name, tensor in images.items()}
    course = to_json(trace)
    metadata = {"trace": course, "digest": _digest(plain, course)}
    write_atomically(path, safetensors.torch.save(plain, metadata=metadata), durable)


def read_part(path: Path) -> Part:
    """What was kept. Raises Damaged, also where it is not what was kept."""
    with reading(path.parents[1], f"{path.parent.name}/{path.name}"):
        if not path.is_file():
            raise OSError("there is no such file")
        with safe_open(str(path), framework="pt") as part:
            names, metadata = part.keys(), part.metadata()
            images = {name: part.get_tensor(name) for name in sorted(names)}
        course = metadata["trace"]
        if metadata.get("digest") not in (None, _digest(images, course)):  # none: from before there were any
            raise ValueError(ALTERED)
        return Part(images, cast(Trace, _TRACE.validate_json(course)))


def _digest(images: Mapping[str, Tensor], course: str) -> str:
    found = hashlib.sha256(course.encode())
    for name, tensor in sorted(images.items()):
        found.update(f"{name} {tuple(tensor.shape)}".encode())
        found.update(tensor.numpy().data)
    return found.hexdigest()[:LENGTH]


Points = list[dict[str, int | float | bool | None]]
"""A trace as JSON has it, in which a number that is none is null."""


class _Line(TypedDict):
    problem: int
    trace: Points


_TRACE = TypeAdapter(Points)
_LINE = TypeAdapter(_Line)
