"""What a server sees of clients with real digits, under freshly drawn networks."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from harness.core import Batch, Classifier, Images, Knowledge, Model, Normalize, Observation, Protocol
from harness.federated.fedsgd import FedSGD
from harness.models.cnn3 import CNN3
from harness.models.lenet import LeNet
from harness.models.mlp import MLP
from harness.models.resnet import ResNet

SHAPE, CLASSES = (1, 8, 8), 10
Network = Callable[[], nn.Module]


def of(model: Model) -> Network:
    return lambda: model.network(SHAPE, CLASSES)


def without_bias() -> nn.Module:
    """Its last bias is that of a normalisation layer."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 64), nn.LayerNorm(64), nn.ReLU(), nn.Linear(64, CLASSES, bias=False)
    )


NETWORKS: dict[str, Network] = {
    "lenet": of(LeNet()),
    "mlp": of(MLP(hidden=64)),
    "cnn3": of(CNN3()),
    "resnet": of(ResNet(width=8, blocks=1)),
    "without_bias": without_bias,
}


@cache
def digits() -> Batch:
    from sklearn.datasets import load_digits

    source = load_digits()
    return Batch(torch.tensor(source.images / 16).float()[:, None], torch.tensor(source.target))


def draw(n: int, seed: int, distinct: bool = False) -> Batch:
    """n digits; of n different classes where they must be distinct."""
    rng = torch.Generator().manual_seed(seed)
    order = torch.randperm(600, generator=rng)
    if distinct:
        classes = torch.randperm(CLASSES, generator=rng)[:n]
        order = torch.stack([order[digits().y[order] == c][0] for c in classes])
    return Batch(digits().x[order[:n]], digits().y[order[:n]])


class Public(Images):
    """The digits after the first 600, as the attacker's own."""

    def __init__(self) -> None:
        self.indices = list(range(600, len(digits())))
        self.labels = digits().y[600:]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        row = self.indices[position]
        return digits().x[row], int(digits().y[row])


def observe(network: Network, batch: Batch, seed: int = 0, protocol: Protocol | None = None) -> Observation:
    torch.manual_seed(seed)
    model = Classifier(Normalize((0.5,), (0.5,)), network()).eval().requires_grad_(False)
    protocol = protocol or FedSGD(batch_size=len(batch))
    params = dict(model.named_parameters())
    update = protocol.update(model, params, batch)
    known = Knowledge(public=Public())
    return Observation(model, params, update, protocol, len(batch), SHAPE, CLASSES, known)


def agreement(found: Tensor, truth: Tensor) -> float:
    """The share of labels that are right, as multisets."""
    counts = [torch.bincount(y, minlength=CLASSES) for y in (found, truth)]
    return float(torch.minimum(*counts).sum()) / len(truth)
