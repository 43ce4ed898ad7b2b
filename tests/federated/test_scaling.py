"""The mean gradient behind an update, whatever the scaling it was sent in."""

import copy

import pytest
import torch

from harness.core import Batch
from harness.federated.fedavg import FedAvg
from harness.federated.fedsgd import FedSGD
from harness.federated.scaling import local_steps, mean_gradient, trained_params
from tests.conftest import Observe


@pytest.mark.parametrize("scaling", ["raw", "per_step", "per_lr"])
def test_two_tiny_steps_are_two_gradients(observe: Observe, batch: Batch, scaling: str) -> None:
    """Two epochs of one full batch each, so small that the weights hardly move."""
    protocol = FedAvg(examples_per_client=3, batch_size=3, local_epochs=2, lr=1e-9, scaling=scaling)
    expected = observe(batch, FedSGD(batch_size=3)).update
    found = mean_gradient(observe(batch, protocol))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("scaling", ["raw", "per_step", "per_lr"])
def test_momentum_carries_gradients_on(observe: Observe, batch: Batch, scaling: str) -> None:
    protocol = FedAvg(
        examples_per_client=3, batch_size=3, local_epochs=4, lr=1e-9, momentum=0.9, scaling=scaling
    )
    expected = observe(batch, FedSGD(batch_size=3)).update
    found = mean_gradient(observe(batch, protocol))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-7)


def test_a_gradient_is_its_own_mean(observe: Observe, batch: Batch) -> None:
    observation = observe(batch)
    assert mean_gradient(observation) is observation.update
    assert local_steps(observation) == 1
    assert trained_params(observation) is observation.params


@pytest.mark.parametrize("scaling", ["raw", "per_step", "per_lr"])
def test_the_trained_weights_are_those_of_torchs_sgd(observe: Observe, batch: Batch, scaling: str) -> None:
    protocol = FedAvg(examples_per_client=3, batch_size=2, local_epochs=3, lr=0.05, scaling=scaling)
    observation = observe(batch, protocol)
    network = copy.deepcopy(observation.model).requires_grad_(True)
    descent = torch.optim.SGD(network.parameters(), lr=0.05)
    for _ in range(3):
        for step in (slice(0, 2), slice(2, 3)):
            descent.zero_grad()
            torch.nn.functional.cross_entropy(network(batch.x[step]), batch.y[step]).backward()
            descent.step()
    assert local_steps(observation) == 6
    found = trained_params(observation)
    for name, value in network.named_parameters():
        torch.testing.assert_close(found[name], value.detach(), rtol=1e-10, atol=1e-12)
