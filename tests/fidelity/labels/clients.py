"""Clients in float64 behind a small ReLU network, and what its head makes of images, written out in numpy."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.core import (
    Batch,
    Classifier,
    Images,
    Knowledge,
    Normalize,
    Observation,
    Params,
    Protocol,
    generator,
)
from harness.federated.fedsgd import FedSGD

CLASSES, FEATURES, SHAPE = 10, 24, (1, 8, 8)
Array = NDArray[np.float64]


class Public(Images):
    """A few images of each class."""

    def __init__(self, each: int) -> None:
        self.x = torch.rand(CLASSES * each, *SHAPE, generator=generator("public"), dtype=torch.float64)
        self.labels = torch.arange(CLASSES).repeat(each)
        self.indices = list(range(len(self.labels)))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        return self.x[position], int(self.labels[position])


@dataclass(frozen=True)
class Head:
    """The head's gradient: weight [classes, features] and bias [classes]."""

    weight: Array
    bias: Array


def client(
    n: int, seed: int, distinct: bool = False, protocol: Protocol | None = None, public: int = 1
) -> tuple[Observation, Batch]:
    """What the server sees of a client with n images, and the images."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Flatten(), nn.Linear(64, FEATURES), nn.ReLU(), nn.Linear(FEATURES, CLASSES)
        )
        x = torch.rand(n, *SHAPE, dtype=torch.float64)
        y = torch.randperm(CLASSES)[:n] if distinct else torch.randint(CLASSES, (n,))
    model = Classifier(Normalize((0.5,), (0.5,)), network).double().eval().requires_grad_(False)
    params, batch = dict(model.named_parameters()), Batch(x, y)
    protocol = protocol or FedSGD(batch_size=n)
    update = protocol.update(model, params, batch)
    known = Knowledge(public=Public(public))
    return Observation(model, params, update, protocol, n, SHAPE, CLASSES, known), batch


def head(seen: Observation) -> Head:
    """The head's gradient that was sent by a client of FedSGD."""
    return Head(seen.update["network.3.weight"].numpy(), seen.update["network.3.bias"].numpy())


def predictions(params: Params, x: Tensor) -> tuple[Array, Array]:
    """Softmax [n, classes] and features [n, features] of images."""
    w = {name: value.numpy() for name, value in params.items()}
    units = (x.numpy().reshape(len(x), -1) - 0.5) / 0.5
    features = np.maximum(units @ w["network.1.weight"].T + w["network.1.bias"], 0)
    return softmax(features @ w["network.3.weight"].T + w["network.3.bias"]), features


def softmax(logits: Array) -> Array:
    exponential = np.exp(logits)
    found: Array = exponential / exponential.sum(-1, keepdims=True)
    return found


def gradient(params: Params, x: Tensor, y: Tensor) -> Head:
    """The head's gradient of the mean cross-entropy: (p - y) for the bias, (p - y) a' for the weight."""
    p, a = predictions(params, x)
    error = p - np.eye(CLASSES)[y.numpy()]
    return Head(error.T @ a / len(x), error.mean(0))
