"""Bring the tensors of a file under the names of a network, and say why where they don't fit."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from harness.base.errors import UserError
from harness.models.checkpoints import StoredTensors, Tensors


@dataclass(frozen=True, eq=False)
class Fitted:
    """Tensors under the network's own names, in the precision of the file; `missing` are those that it lacks."""

    tensors: Tensors
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def fit(stored: StoredTensors, network: nn.Module, path: Path) -> Fitted:
    """Raises UserError, naming the first tensor that differs and the likeliest reason."""
    own = network.state_dict()
    found, notes = _without_prefix(stored.tensors, own) if stored.named else _in_order(stored, network, path)
    wrong = [name for name in found if name not in own or found[name].shape != own[name].shape]
    if wrong or not found.keys() & own.keys():
        raise UserError(_misfit(path, found, own, wrong))
    check_finite(path, found)
    missing = tuple(name for name in own if name not in found)
    ordered = {name: found[name] for name in own if name in found}
    return Fitted(ordered, missing, (*stored.notes, *notes))


def _without_prefix(found: Tensors, own: Mapping[str, Tensor]) -> tuple[Tensors, list[str]]:
    """Names without what a wrapper put before them all; what stands beside the network is left out, and said."""
    prefixes = {name.removesuffix(mine) for mine in own for name in found if name.endswith(f".{mine}")}
    covered = {prefix: sum(prefix + name in found for name in own) for prefix in ("", *sorted(prefixes))}
    prefix = max(covered, key=lambda each: covered[each])
    if not prefix:
        return found, []
    inside = {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}
    beside = [name for name in found if not name.startswith(prefix)]
    notes = [f"the prefix '{prefix}' is taken off all names"]
    return inside, notes + (
        [f"left out, for it is beside the network: {', '.join(beside)}"] if beside else []
    )


def _in_order(stored: StoredTensors, network: nn.Module, path: Path) -> tuple[Tensors, list[str]]:
    """Names for a list of arrays: the state dict's, or the parameters' alone."""
    arrays = list(stored.tensors.values())
    everything, trained = list(network.state_dict()), [name for name, _ in network.named_parameters()]
    if len(arrays) == len(everything):
        names = everything
    elif len(arrays) == len(trained):
        names = trained
    else:
        raise UserError(
            f"{path} holds {len(arrays)} arrays, and the network {len(trained)} parameters and "
            f"{len(everything) - len(trained)} buffers: {_other_count(arrays, network)}"
        )
    own = network.state_dict()
    shapes = [tuple(own[name].shape) for name in names]
    if (given := [tuple(a.shape) for a in arrays]) != shapes and Counter(given) == Counter(shapes):
        k = next(k for k, pair in enumerate(zip(given, shapes, strict=True)) if pair[0] != pair[1])
        raise UserError(
            f"{path}: array {k} is {given[k]}, and {names[k]} is {shapes[k]} in the network: the same arrays in "
            "another order; write them in the order of the state dict, or by name"
        )
    return dict(zip(names, arrays, strict=True)), [f"{len(arrays)} arrays without names, taken in order"]


def _other_count(arrays: Sequence[Tensor], network: nn.Module) -> str:
    """The likeliest reason for another number of arrays."""
    counters = sum(name.endswith("num_batches_tracked") for name in network.state_dict())
    if counters and len(arrays) == len(network.state_dict()) - counters:
        return "batch norm's counters are left out; write all buffers, or the parameters alone"
    return "another model, another constructor argument, or buffers that are counted as parameters"


def _misfit(path: Path, found: Tensors, own: Mapping[str, Tensor], wrong: list[str]) -> str:
    wrong = [*wrong, *(name for name in own if name not in found)]
    first = min(wrong)
    shapes = [tuple(side[first].shape) if first in side else "nothing" for side in (found, own)]
    return (
        f"the weights in {path} do not fit: {first} is {shapes[0]} in the file and {shapes[1]} in the "
        f"network ({len(wrong)} tensors differ); {_likeliest(found, own, first)}"
    )


def _likeliest(found: Tensors, own: Mapping[str, Tensor], first: str) -> str:
    if first not in found or first not in own:
        return "another model, or names that were changed"
    theirs, ours = found[first].shape, own[first].shape
    if len(theirs) == len(ours) and Counter(theirs) == Counter(ours):
        return "transposed: torch has [outputs, inputs, ...]"
    differ = [k for k, pair in enumerate(zip(theirs, ours, strict=False)) if pair[0] != pair[1]]
    if len(theirs) == len(ours) and len(differ) == 1:
        k = differ[0]
        return f"another argument of the model's constructor, with {theirs[k]} in the place of {ours[k]}"
    return "another model"


def check_finite(path: Path, found: Tensors) -> None:
    """Raises UserError, naming the first tensor that has NaN or infinity."""
    if broken := [name for name, value in found.items() if not bool(torch.isfinite(value).all())]:
        raise UserError(f"{path}: {broken[0]} has values that are not finite ({len(broken)} tensors have)")
