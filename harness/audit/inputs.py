"""An update as a user's framework wrote it: before and after, or a gradient."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from harness.base.errors import UserError
from harness.models.checkpoints import StoredTensors, Tensors, read
from harness.models.fitting import Fitted, fit
from harness.models.weights import sha256

PARTS = ("before", "after", "gradient", "difference")
"""What the names of one file begin with, `before/conv.weight`; a difference is after less before."""


@dataclass(frozen=True, eq=False)
class Files:
    """The parts of an update as they were read, what the recorder knew, and the digests of the files."""

    parts: Mapping[str, tuple[Path, StoredTensors]]
    facts: Mapping[str, Any]
    digests: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Update:
    """What a client received and sent, by the network's names; `change` is gradient-like, in float64."""

    before: Tensors
    change: Tensors
    buffers: Tensors
    """Those that came back."""
    is_gradient: bool
    half: bool
    """Whether it was sent in half precision."""
    missing: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    notes: Sequence[str] = field(default_factory=tuple)


def read_files(together: Path | None = None, **parts: Path | None) -> Files:
    """One npz (safetensors, ...) with all parts, or a file of each. Raises UserError."""
    given = {name: path for name, path in parts.items() if path is not None}
    found = {name: (path, read(path)) for name, path in given.items()}
    facts: dict[str, Any] = {}
    if together is not None:
        stored = read(together)
        found = _split(together, stored) | found
        facts = dict(stored.facts)
    for _, stored in found.values():
        facts |= stored.facts
    if "before" not in found:
        raise UserError(
            "before is missing: an update is read at the weights that the server sent (--before FILE)"
        )
    sent = [name for name in PARTS[1:] if name in found]
    if len(sent) != 1:
        named = " and ".join(sent) or "nothing"
        raise UserError(f"beside before, {named} is there: one of after, gradient and difference is wanted")
    paths = {path for path, _ in found.values()}
    return Files(found, facts, {path.name: sha256(path) for path in sorted(paths)})


def _split(path: Path, stored: StoredTensors) -> dict[str, tuple[Path, StoredTensors]]:
    parts: dict[str, Tensors] = {}
    for name, value in stored.tensors.items():
        part, slash, rest = name.partition("/")
        if not slash or part not in PARTS:
            raise UserError(
                f"{path}: {name} belongs to no part of an update: names are before/NAME and after/NAME, or "
                "gradient/NAME; files that hold one part are given by --before, --after, --gradient"
            )
        parts.setdefault(part, {})[rest] = value
    return {part: (path, _listed(tensors, stored)) for part, tensors in parts.items()}


def _listed(tensors: Tensors, stored: StoredTensors) -> StoredTensors:
    numbers = {name: name.removeprefix("arr_") for name in tensors}
    if not all(number.isdigit() for number in numbers.values()):
        return StoredTensors(tensors, notes=stored.notes)
    ordered = sorted(tensors, key=lambda name: int(numbers[name]))
    return StoredTensors({str(k): tensors[name] for k, name in enumerate(ordered)}, False, notes=stored.notes)


def open_update(files: Files, network: nn.Module) -> Update:
    """The update under the network's own names. Raises UserError for what does not fit, NaN, or zeros alone."""
    path, stored = files.parts["before"]
    before = fit(stored, network, path)
    parameters = [name for name, _ in network.named_parameters()]
    if lacking := [name for name in parameters if name in before.missing]:
        raise UserError(
            f"{path}: before lacks {lacking[0]} ({len(lacking)} parameters): the whole model is wanted"
        )
    kind = next(name for name in PARTS[1:] if name in files.parts)
    path, stored = files.parts[kind]
    sent = fit(stored, network, path)
    change = {name: _change(kind, before, sent, name) for name in parameters if name in sent.tensors}
    still = tuple(name for name, value in change.items() if not bool(value.any()))
    if len(still) == len(change):
        raise UserError(
            f"the update is all zeros: {'after equals before' if kind == 'after' else path.name + ' holds nothing'}; "
            "was before copied, or is it the trained model itself?"
        )
    missing = tuple(name for name in parameters if name not in sent.tensors)
    buffers = {name: value for name, value in sent.tensors.items() if name not in parameters}
    half = any(value.dtype in (torch.float16, torch.bfloat16) for value in sent.tensors.values())
    return Update(
        {name: _full(value) for name, value in before.tensors.items()},
        {name: value for name, value in change.items() if name not in still},
        buffers,
        kind == "gradient",
        half,
        missing,
        still,
        tuple(dict.fromkeys([*before.notes, *sent.notes])),
    )


def _change(kind: str, before: Fitted, sent: Fitted, name: str) -> torch.Tensor:
    value = sent.tensors[name].double()
    if kind == "after":
        return before.tensors[name].double() - value
    return -value if kind == "difference" else value


def _full(value: torch.Tensor) -> torch.Tensor:
    return value.float() if value.is_floating_point() else value


def said(update: Update) -> list[str]:
    """What was found in the files and handled, in words."""
    lines = list(update.notes)
    for names, words in (
        (update.missing, "not sent"),
        (update.frozen, "did not move, so they count as frozen"),
    ):
        if names:
            lines.append(
                f"{len(names)} tensors {words}: {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
            )
    if update.half:
        lines.append("sent in half precision, and read in single")
    return lines
