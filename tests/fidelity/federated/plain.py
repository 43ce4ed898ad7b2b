"""Federated training written out: torch's own layers and optimiser, one client after the other."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.core import Batch, Classifier, Normalize, Params, generator

SHAPE, CLASSES = (1, 8, 8), 4


def network() -> Classifier:
    """A small float64 network with batch normalisation, of which something was trained before."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        layers = nn.Sequential(
            *(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Sigmoid(), nn.AvgPool2d(2), nn.Flatten()),
            nn.Linear(128, CLASSES),
        )
    model = Classifier(Normalize((0.4,), (0.3,)), layers).double().eval().requires_grad_(False)
    model.network[1].running_mean.copy_(torch.linspace(-0.3, 0.4, 8))  # type: ignore[index, union-attr]
    model.network[1].running_var.copy_(torch.linspace(0.5, 2, 8))  # type: ignore[index, union-attr]
    return model


def images(count: int, seed: int) -> Batch:
    rng = generator("fidelity images", seed)
    return Batch(
        torch.rand(count, *SHAPE, generator=rng, dtype=torch.float64),
        torch.randint(CLASSES, (count,), generator=rng),
    )


def parameters(model: nn.Module) -> Params:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def train(
    model: nn.Module, descent: torch.optim.Optimizer, batch: Batch, order: Sequence[Tensor], mode: str
) -> None:
    """One step of the optimiser for each minibatch; batch normalisation in train or eval mode."""
    model.train(mode != "eval")
    for step in order:
        descent.zero_grad()
        F.cross_entropy(model(batch.x[step]), batch.y[step]).backward()
        descent.step()
    model.eval()


def trainable(model: Classifier) -> Classifier:
    return copy.deepcopy(model).requires_grad_(True)
