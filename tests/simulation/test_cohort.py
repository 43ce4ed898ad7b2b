"""Clients side by side end with the weights that each would have alone."""

from typing import Any

import pytest
import torch

from harness.core import Batch, Model, generator
from harness.datasets.digits import Digits32
from harness.federated.fedavg import FedAvg
from harness.models.cnn3 import CNN3
from harness.models.lenet import LeNet
from harness.models.mlp import MLP
from harness.models.resnet import ResNet
from harness.simulation.cohort import Cohort, cohort_width
from tests.simulation.test_training import SETTINGS

NETWORKS: list[Model] = [MLP(hidden=20, normalize="symmetric"), LeNet(), CNN3()]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: type(network).__name__)
def test_side_by_side_is_as_alone(network: Model, settings: dict[str, Any]) -> None:
    model = network.build(Digits32(), 0).double()
    protocol = FedAvg(examples_per_client=5, batch_size=2, local_epochs=2, lr=0.05, **settings)
    weights = dict(model.named_parameters())
    rng = generator("cohort")
    shape = (5, 1, 32, 32)
    batches = [
        Batch(torch.rand(shape, generator=rng, dtype=torch.float64), torch.randint(10, (5,), generator=rng))
        for _ in range(3)
    ]
    orders = [protocol.order(rng) for _ in batches]
    assert cohort_width(model, 10) >= 3
    together = Cohort(model)(weights, batches, orders, protocol)
    for found, batch, order in zip(together, batches, orders, strict=True):
        alone = protocol.update(model, weights, batch, order)
        assert set(found) == set(alone)
        for name, value in alone.items():
            torch.testing.assert_close(weights[name] - found[name], value, rtol=0, atol=1e-10)


def test_which_networks_fit() -> None:
    assert cohort_width(MLP(hidden=256).build(Digits32(), 0), 50) == 16
    assert cohort_width(MLP(hidden=2000).build(Digits32(), 0), 5000) == 1
    assert cohort_width(ResNet(width=2, blocks=1).build(Digits32(), 0), 50) == 1
    assert 1 < cohort_width(CNN3().build(Digits32(), 0), 250) <= 16
