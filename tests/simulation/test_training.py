"""Local training in place agrees with what attackers unroll, and with torch's own SGD."""

from typing import Any

import pytest
import torch
from torch import nn

from harness.core import Batch, Classifier, Model, Normalize, Params, generator
from harness.datasets.digits import Digits32
from harness.federated.fedavg import FedAvg
from harness.models.cnn3 import CNN3
from harness.models.lenet import LeNet
from harness.models.mlp import MLP
from harness.models.resnet import ResNet
from harness.simulation.training import LocalTraining
from tests.federated.test_protocols import torch_sgd

NETWORKS: list[Model] = [MLP(hidden=8), LeNet(), CNN3(), ResNet(width=4, blocks=1)]
SETTINGS: list[dict[str, float]] = [
    {},
    {"momentum": 0.9},
    {"weight_decay": 0.1},
    {"momentum": 0.5, "weight_decay": 0.1},
]


@pytest.fixture
def digits() -> Batch:
    rng = generator("digits")
    return Batch(torch.rand(5, 1, 32, 32, generator=rng, dtype=torch.float64), torch.tensor([0, 3, 3, 9, 1]))


def difference(model: Classifier, batch: Batch, order: Any, protocol: FedAvg) -> Params:
    """theta_0 - theta_T of local training."""
    weights = {name: value.detach().clone() for name, value in model.named_parameters()}
    after, *_ = LocalTraining(model)(weights, dict(model.named_buffers()), batch, order, protocol)
    return {name: value - after[name].detach() for name, value in weights.items()}


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: type(network).__name__)
def test_it_agrees_with_the_update_that_attackers_unroll(
    network: Model, settings: dict[str, Any], digits: Batch
) -> None:
    model = network.build(Digits32(), 0).double()
    protocol = FedAvg(examples_per_client=5, batch_size=2, local_epochs=2, lr=0.05, **settings)
    order = protocol.order(generator("order"))
    expected = protocol.update(model, dict(model.named_parameters()), digits, order)
    found = difference(model, digits, order, protocol)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-10)


@pytest.mark.parametrize("settings", SETTINGS)
def test_it_agrees_with_torchs_sgd(classifier: Classifier, batch: Batch, settings: dict[str, Any]) -> None:
    protocol = FedAvg(examples_per_client=3, batch_size=2, local_epochs=3, lr=0.3, **settings)
    order = protocol.order(generator("order"))
    expected = torch_sgd(classifier, batch, order, 0.3, **settings)
    found = difference(classifier, batch, order, protocol)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-10)


def test_one_client_leaves_nothing_behind_for_the_next(digits: Batch) -> None:
    model = ResNet(width=4, blocks=1).build(Digits32(), 0).double()
    protocol = FedAvg(examples_per_client=5, batch_size=2, momentum=0.9, normalization="train")
    order = protocol.order(generator("order"))
    weights, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    trainer = LocalTraining(model)
    results = []
    for _ in range(2):
        after, moved, _ = trainer(weights, buffers, digits, order, protocol)
        results.append({name: value.detach().clone() for name, value in (after | moved).items()})
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])
    assert any(not torch.equal(buffers[name], value) for name, value in results[0].items() if name in buffers)
    assert not model.training


def test_a_layer_without_bias_and_one_that_nothing_precedes() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False))
    model = Classifier(Normalize((0.5,), (0.5,)), network).double().eval().requires_grad_(False)
    batch = Batch(torch.rand(2, 1, 2, 2, dtype=torch.float64), torch.tensor([0, 2]))
    protocol = FedAvg(examples_per_client=2, batch_size=1, lr=0.5)
    order = protocol.order(generator("order"))
    (found,) = difference(model, batch, order, protocol).values()
    (expected,) = torch_sgd(model, batch, order, 0.5).values()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_a_layer_that_is_used_twice_is_refused(batch: Batch) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(64, 64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.layer(self.layer(x.flatten(1)))
            return found

    model = Classifier(Normalize((0.5,), (0.5,)), Twice()).double().requires_grad_(False)
    protocol = FedAvg(examples_per_client=3, batch_size=3)
    with pytest.raises(RuntimeError, match="used twice"):
        difference(model, batch, protocol.order(generator("order")), protocol)
