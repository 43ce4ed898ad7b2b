"""Client updates against torch's own SGD."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from harness.core import Batch, Classifier, Params, generator
from harness.federated.fedavg import FedAvg
from harness.federated.fedsgd import FedSGD


def params_of(model: nn.Module) -> Params:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def torch_sgd(
    model: Classifier,
    batch: Batch,
    order: Sequence[Tensor],
    lr: float,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
) -> Params:
    """theta_0 - theta_T of torch.optim.SGD."""
    start = params_of(model)
    trained = {name: value.clone().requires_grad_() for name, value in start.items()}
    optimizer = torch.optim.SGD(trained.values(), lr=lr, momentum=momentum, weight_decay=weight_decay)
    for step in order:
        optimizer.zero_grad()
        F.cross_entropy(functional_call(model, trained, (batch.x[step],)), batch.y[step]).backward()
        optimizer.step()
    return {name: start[name] - trained[name].detach() for name in start}


def test_fedsgd_is_the_gradient_of_the_mean_loss(classifier: Classifier, batch: Batch) -> None:
    params = params_of(classifier)
    for value in params.values():
        value.requires_grad_()
    F.cross_entropy(functional_call(classifier, params, (batch.x,)), batch.y).backward()
    update = FedSGD(batch_size=3).update(classifier, params_of(classifier), batch)
    for name, value in params.items():
        torch.testing.assert_close(update[name], value.grad, rtol=0, atol=1e-14)


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize(("momentum", "weight_decay"), [(0, 0), (0.9, 0), (0, 0.1), (0.5, 0.1)])
def test_unrolled_updates_equal_sgd_and_respect_the_order(
    classifier: Classifier, batch: Batch, epochs: int, momentum: float, weight_decay: float
) -> None:
    protocol = FedAvg(
        examples_per_client=3,
        batch_size=2,
        local_epochs=epochs,
        lr=0.3,
        momentum=momentum,
        weight_decay=weight_decay,
    )
    order = protocol.order(generator("order"))
    found = protocol.update(classifier, params_of(classifier), batch, order)
    expected = torch_sgd(classifier, batch, order, 0.3, momentum, weight_decay)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-10)
    reversed_order = [step.flip(0) for step in reversed(order)]
    other = protocol.update(classifier, params_of(classifier), batch, reversed_order)
    assert any(not torch.allclose(found[name], other[name], atol=1e-10) for name in found)


def test_one_step_of_fedavg_is_lr_times_the_gradient(classifier: Classifier, batch: Batch) -> None:
    params = params_of(classifier)
    gradient = FedSGD(batch_size=3).update(classifier, params, batch)
    update = FedAvg(examples_per_client=3, batch_size=3, lr=0.25).update(classifier, params, batch)
    for name in gradient:
        torch.testing.assert_close(update[name], 0.25 * gradient[name], rtol=0, atol=1e-14)


@pytest.mark.parametrize(("scaling", "divisor"), [("raw", 1), ("per_step", 4), ("per_lr", 0.3)])
def test_scaling_divides_the_difference(
    classifier: Classifier, batch: Batch, scaling: Any, divisor: float
) -> None:
    settings: dict[str, Any] = {"examples_per_client": 3, "batch_size": 2, "local_epochs": 2, "lr": 0.3}
    raw = FedAvg(**settings).update(classifier, params_of(classifier), batch)
    scaled = FedAvg(**settings, scaling=scaling).update(classifier, params_of(classifier), batch)
    for name in raw:
        torch.testing.assert_close(scaled[name], raw[name] / divisor)


def test_the_update_is_differentiable_in_the_images(classifier: Classifier, batch: Batch) -> None:
    protocol = FedAvg(examples_per_client=3, batch_size=2, local_epochs=2)

    def length(x: Tensor) -> Tensor:
        update = protocol.update(classifier, params_of(classifier), Batch(x, batch.y))
        return torch.stack([value.square().sum() for value in update.values()]).sum()

    assert torch.autograd.gradcheck(length, batch.x.clone().requires_grad_(), fast_mode=True)


def test_the_clients_order_is_a_permutation_each_epoch() -> None:
    order = FedAvg(examples_per_client=7, batch_size=3, local_epochs=2).order(generator("x"))
    assert [len(step) for step in order] == [3, 3, 1, 3, 3, 1]
    for epoch in (order[:3], order[3:]):
        assert sorted(torch.cat(epoch).tolist()) == list(range(7))
