"""Small victims and observations that many tests share."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from harness.core import Batch, Classifier, Knowledge, Normalize, Observation, Protocol
from harness.federated.fedsgd import FedSGD

SHAPE = (1, 8, 8)
CLASSES = 5

Observe = Callable[..., Observation]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def smooth_network() -> nn.Module:
    """A twice differentiable network on 8x8 grey images."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, 2, 1),
        nn.Sigmoid(),
        nn.Flatten(),
        nn.Linear(64, 12),
        nn.Sigmoid(),
        nn.Linear(12, CLASSES),
    )


@pytest.fixture
def classifier() -> Classifier:
    """A float64 classifier with fixed weights, normalised to [-1, 1]."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = smooth_network()
    return Classifier(Normalize((0.5,), (0.5,)), network).double().eval().requires_grad_(False)


@pytest.fixture
def batch() -> Batch:
    """Three float64 images of three classes."""
    rng = torch.Generator().manual_seed(1)
    return Batch(torch.rand(3, *SHAPE, generator=rng, dtype=torch.float64), torch.tensor([0, 3, 4]))


@pytest.fixture
def observe(classifier: Classifier) -> Observe:
    """What the server sees when the classifier's client sends the update of a batch."""

    def make(
        batch: Batch, protocol: Protocol | None = None, knowledge: Knowledge | None = None
    ) -> Observation:
        protocol = protocol or FedSGD(batch_size=len(batch.x))
        params = dict(classifier.named_parameters())
        return Observation(
            model=classifier,
            params=params,
            update=protocol.update(classifier, params, batch),
            protocol=protocol,
            n=len(batch.x),
            shape=SHAPE,
            classes=CLASSES,
            knowledge=knowledge or Knowledge(),
        )

    return make
