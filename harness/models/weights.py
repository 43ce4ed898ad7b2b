"""Checkpoints on disk: read without running code from them, checked against the digest in their name."""

import hashlib
import pickle
import re
from pathlib import Path

import torch
from torch import Tensor, nn

from harness.core import UserError

_DIGEST = re.compile(r"-([0-9a-f]{8,64})\.\w+$")


def read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict from a file.

    A name that carries a digest, as torchvision's do (`vgg16-397923af.pth`: the first digits of the sha256),
    is held to it. Raises UserError for a missing, altered or unreadable file.
    """
    if not path.is_file():
        raise UserError(f"no weights at {path}")
    claimed = _DIGEST.search(path.name)
    if claimed and not _sha256(path).startswith(claimed[1]):
        raise UserError(f"{path} is damaged or not the original: its sha256 does not begin with {claimed[1]}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # whatever the reader makes of a foreign file
        raise UserError(f"{path} is no file of weights: {reason(error)}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path} holds no state dict (names to tensors)")
    if broken := [name for name, value in state.items() if not bool(torch.isfinite(value).all())]:
        raise UserError(f"{path}: {broken[0]} has values that are not finite ({len(broken)} tensors have)")
    return state


def reason(error: Exception) -> str:
    """In one line, and without torch's own advice, which is to load the file although it may run code."""
    if isinstance(error, pickle.UnpicklingError):
        return "it holds other objects than tensors, and is not read further; torch.save(model.state_dict(), FILE)"
    return str(error).partition("\n")[0] or "it is empty"


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill a network from a file. Raises UserError unless every name and shape agrees."""
    state = read_weights(path)
    own = network.state_dict()
    wrong = [name for name in own.keys() | state.keys() if name not in own or name not in state]
    wrong += [name for name in own.keys() & state.keys() if own[name].shape != state[name].shape]
    if wrong:
        first = min(wrong)
        shapes = [tuple(side[first].shape) if first in side else "nothing" for side in (state, own)]
        raise UserError(
            f"the weights in {path} do not fit: {first} is {shapes[0]} in the file and {shapes[1]} in the "
            f"network ({len(wrong)} tensors differ)"
        )
    network.load_state_dict(state)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
