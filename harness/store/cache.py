"""Trained networks on disk: named by what they were trained from, checked when they are read."""

import dataclasses
import fcntl
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from harness.base.files import write_atomically
from harness.core import UserError


def digest(images: Tensor) -> str:
    """The sha256 of the pixels and their shape."""
    hashed = hashlib.sha256(f"{images.dtype} {tuple(images.shape)}".encode())
    hashed.update(images.contiguous().numpy().data)
    return hashed.hexdigest()


@dataclasses.dataclass(frozen=True)
class Entry:
    """One network in the cache: a folder named by the hash of its identity."""

    folder: Path
    kind: str = "generator"
    """What the file of its weights is called."""

    @classmethod
    def of(cls, cache: str, name: str, identity: dict[str, object], kind: str = "generator") -> "Entry":
        """The entry of this identity, with its folder; the identity is written there for people to read."""
        text = json.dumps(identity, indent=2, sort_keys=True)
        entry = cls(Path(cache) / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}", kind)
        try:
            entry.folder.mkdir(parents=True, exist_ok=True)
            if not (entry.folder / "identity.json").exists():
                write_atomically(entry.folder / "identity.json", text.encode())
        except OSError as error:
            raise UserError(
                f"can't write the cache of trained networks, {entry.folder}: {error.strerror}"
            ) from error
        return entry

    @property
    def weights(self) -> Path:
        """That this file exists means that training is done."""
        return self.folder / f"{self.kind}.safetensors"

    @property
    def checksum(self) -> Path:
        return self.folder / f"{self.kind}.safetensors.sha256"

    @property
    def checkpoint(self) -> Path:
        """Where unfinished training goes on."""
        return self.folder / "training.ckpt"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One process at a time; others wait. The lock dies with its process, so it can't go stale."""
        with (self.folder / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(
                    f"{self.kind}: another process is training {self.folder.name}; waiting",
                    file=sys.stderr,
                    flush=True,
                )
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def fill(self, network: nn.Module, train: Callable[[], None]) -> None:
        """Read the weights into the network; where there are none yet, `train` it first, which saves them.

        One process at a time trains, others wait. Raises UserError for weights that are not what was saved.
        """
        if not self.weights.exists():
            with self.lock():
                if not self.weights.exists():
                    train()
        self.load(network)

    def save(self, network: nn.Module) -> None:
        """Weights and, before them, their checksum; then the training checkpoint is of no more use."""
        data = safetensors.torch.save(network.state_dict())
        write_atomically(self.checksum, f"{hashlib.sha256(data).hexdigest()}  {self.weights.name}\n".encode())
        write_atomically(self.weights, data)
        self.checkpoint.unlink(missing_ok=True)

    def load(self, network: nn.Module) -> None:
        """Read the weights into the network. Raises UserError when they are not what was saved."""
        data = self.weights.read_bytes()
        expected = self.checksum.read_text().split() if self.checksum.exists() else []
        if expected[:1] != [hashlib.sha256(data).hexdigest()]:
            raise UserError(
                f"{self.weights} is damaged (its checksum differs): delete it to train the {self.kind} again"
            )
        network.load_state_dict(safetensors.torch.load(data))


def finite(module: nn.Module) -> bool:
    """Whether every weight and statistic is a number."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in module.state_dict().values())
