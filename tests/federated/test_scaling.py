"""The mean gradient behind an update, whatever the scaling it was sent in."""

import pytest
import torch

from harness.core import Batch
from harness.federated.fedavg import FedAvg
from harness.federated.fedsgd import FedSGD
from harness.federated.scaling import mean_gradient
from tests.conftest import Observe


@pytest.mark.parametrize("scaling", ["raw", "per_step", "per_lr"])
def test_two_tiny_steps_are_two_gradients(observe: Observe, batch: Batch, scaling: str) -> None:
    """Two epochs of one full batch each, so small that the weights hardly move."""
    protocol = FedAvg(examples_per_client=3, batch_size=3, local_epochs=2, lr=1e-9, scaling=scaling)
    expected = observe(batch, FedSGD(batch_size=3)).update
    found = mean_gradient(observe(batch, protocol))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-7)


def test_a_gradient_is_its_own_mean(observe: Observe, batch: Batch) -> None:
    observation = observe(batch)
    assert mean_gradient(observation) is observation.update
