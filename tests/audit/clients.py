"""Clients whose updates are audited: a small dense network on embedded photographs, and what it sends."""

import json
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.audit.others import photographs

SHAPE = (3, 8, 8)
RECIPE: dict[str, Any] = {
    "model": "tests.audit.clients:Dense",
    "input": list(SHAPE),
    "normalization": {"mean": [0.5] * 3, "std": [0.5] * 3},
    "batch_size": 8,
    "lr": 0.1,
}


class Dense(nn.Module):
    """Two hidden layers, and a spare one that is declared last."""

    def __init__(self, classes: int = 10, width: int = 64) -> None:
        super().__init__()
        self.first = nn.Linear(192, width)
        self.second = nn.Linear(width, 32)
        self.head = nn.Linear(32, classes)
        self.spare = nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu(self.second(F.relu(self.first(x.flatten(1)))))
        logits: Tensor = self.head(hidden)
        return logits


class Narrow(nn.Sequential):
    """The network of the documentation's example: some images leave few of its units off, and share those."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(192, 64), nn.ReLU(), nn.Linear(64, 10))


def images(count: int) -> tuple[Tensor, Tensor]:
    """Photographs [count, 3, 8, 8] of eight bits in [0, 1], and their classes."""
    x = (photographs(SHAPE, count, skip=5) * 255).round() / 255
    return x, torch.randint(10, (count,), generator=torch.Generator().manual_seed(count))


def trained(
    model: nn.Module, count: int, batch: int = 8, lr: float = 0.1, data: tuple[Tensor, Tensor] | None = None
) -> dict[str, Any]:
    """Before and after one epoch of SGD, by the names of an npz."""
    x, y = data or images(count)
    before = {f"before/{name}": value.clone().numpy() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr)
    for rows in torch.arange(count).split(batch):
        optimizer.zero_grad()
        F.cross_entropy(model((x[rows] - 0.5) / 0.5), y[rows]).backward()
        optimizer.step()
    return before | {f"after/{name}": value.clone().numpy() for name, value in model.state_dict().items()}


def written(path: Path, arrays: dict[str, Any], **facts: Any) -> Path:
    """An npz of an update with the whole recipe as its facts, but for what is said; None leaves a key out."""
    said = {name: value for name, value in (RECIPE | facts).items() if value is not None}
    numpy.savez(path, **arrays, facts=json.dumps(said))
    return path


def client(path: Path, count: int = 4, **facts: Any) -> Path:
    """The update of an honest client."""
    torch.manual_seed(0)
    return written(path, trained(Dense(), count), examples=count, **facts)
