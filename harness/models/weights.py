"""Fill a network from a checkpoint: read without running code from it, checked against the digest in its name."""

import hashlib
import re
from pathlib import Path

from torch import nn

from harness.core import UserError
from harness.models.checkpoints import StoredTensors, Tensors, read
from harness.models.fitting import check_finite, fit

_DIGEST = re.compile(r"-([0-9a-f]{8,64})\.\w+$")


def stored_weights(path: Path) -> StoredTensors:
    """The tensors of a file.

    A name that carries a digest, as torchvision's do (`vgg16-397923af.pth`: the first digits of the sha256),
    is held to it. Raises UserError for a missing, altered or unreadable file.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    claimed = _DIGEST.search(path.name)
    if claimed and not sha256(path).startswith(claimed[1]):
        raise UserError(f"{path} is damaged or not the original: its sha256 does not begin with {claimed[1]}")
    return read(path)


def read_weights(path: Path) -> Tensors:
    """A state dict from a file. As `stored_weights`; raises UserError where tensors have no names or aren't finite."""
    stored = stored_weights(path)
    if not stored.named:
        raise UserError(f"{path} holds no state dict (names to tensors) but a list")
    check_finite(path, stored.tensors)
    return stored.tensors


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill a network from a file. Raises UserError unless every name and shape agrees."""
    found = fit(stored_weights(path), network, path)
    if found.missing:
        first = min(found.missing)
        raise UserError(
            f"the weights in {path} do not fit: {first} is nothing in the file and "
            f"{tuple(network.state_dict()[first].shape)} in the network ({len(found.missing)} tensors differ)"
        )
    network.load_state_dict(found.tensors)


def sha256(path: Path) -> str:
    """The digest of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
