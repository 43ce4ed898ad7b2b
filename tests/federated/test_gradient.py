"""The gradient behind every update: one result, with a graph only where somebody can need it."""

import pytest
import torch
from torch import nn

from harness.core import Batch, Classifier, Normalize, Observation, Params
from harness.core.gradient import gradient, loss
from tests.conftest import Observe


@pytest.fixture
def observation(observe: Observe, batch: Batch) -> Observation:
    return observe(batch)


def test_it_agrees_with_torch_func(observation: Observation, batch: Batch) -> None:
    expected = torch.func.grad(loss)(observation.params, observation.model, batch)
    found = gradient(observation.model, observation.params, batch)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_an_honest_client_keeps_no_graph(observation: Observation, batch: Batch) -> None:
    for context in (torch.enable_grad(), torch.no_grad()):
        with context:
            found = gradient(observation.model, observation.params, batch)
        assert not any(g.requires_grad for g in found.values())
    assert not any(p.requires_grad for p in observation.params.values())


@pytest.mark.parametrize("through", ["images", "labels", "parameters"])
def test_it_can_be_differentiated_again(observation: Observation, batch: Batch, through: str) -> None:
    """Through autograd and through torch.func alike."""
    soft = torch.nn.functional.one_hot(batch.y, observation.classes).double()
    name = "network.0.weight"
    start = {"images": batch.x, "labels": soft, "parameters": observation.params[name]}[through]

    def length(value: torch.Tensor) -> torch.Tensor:
        images = value if through == "images" else batch.x
        labels = value if through == "labels" else soft
        params: Params = observation.params | ({name: value} if through == "parameters" else {})
        found = gradient(observation.model, params, Batch(images, labels))
        return torch.stack([g.square().sum() for g in found.values()]).sum()

    leaf = start.detach().clone().requires_grad_()
    (plain,) = torch.autograd.grad(length(leaf), leaf)
    assert float(plain.norm()) > 0
    torch.testing.assert_close(plain, torch.func.grad(length)(start.detach()), rtol=1e-10, atol=1e-14)


def test_a_parameter_without_influence_has_a_zero_gradient(batch: Batch) -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.idle = nn.Parameter(torch.ones(3))
            self.head = nn.Linear(64, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head(x.flatten(1))
            return logits

    model = Classifier(Normalize((0.0,), (1.0,)), Idle()).double().requires_grad_(False)
    found = gradient(model, dict(model.named_parameters()), batch)
    assert found["network.idle"].tolist() == [0, 0, 0]
