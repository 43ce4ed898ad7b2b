"""Batched RMSprop against torch.optim.RMSprop."""

import pytest
import torch

from harness.attacks.solvers.rmsprop import RMSprop
from harness.attacks.solvers.variables import Layout
from tests.attacks.solvers.solver_problems import minimise, of, rosenbrock

START = torch.linspace(-1, 1, 7, dtype=torch.float64)


@pytest.mark.parametrize("steps", [1, 3, 60])
@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.99])
def test_ends_where_torch_ends(steps: int, momentum: float) -> None:
    rule = RMSprop(lr=1e-3, decay=0.95, momentum=momentum, eps=1e-6)
    (run,) = minimise(rule, [of(rosenbrock)], [START], steps)
    x = START.clone().requires_grad_()
    theirs = torch.optim.RMSprop([x], lr=1e-3, alpha=0.95, momentum=momentum, eps=1e-6)
    for _ in range(steps):
        x.grad = of(rosenbrock)(x.detach())[1]
        theirs.step()
    torch.testing.assert_close(run.last, x.detach(), rtol=1e-9, atol=1e-9)
    assert len(run.points) == steps + 1


def test_slots_know_nothing_of_each_other() -> None:
    starts = [START, -START, 2 * START]
    together = minimise(RMSprop(momentum=0.9), [of(rosenbrock)] * 3, starts, 20)
    for run, start in zip(together, starts, strict=True):
        (alone,) = minimise(RMSprop(momentum=0.9), [of(rosenbrock)], [start], 20)
        assert torch.equal(run.last, alone.last)


def test_a_state_keeps_its_slots_when_it_is_resized() -> None:
    rule = RMSprop(momentum=0.9)
    state = rule.start(2, Layout.of(3), torch.device("cpu"), torch.float64)
    x = torch.stack([state.reset(slot, torch.ones(3).double(), 5, torch.Generator()) for slot in range(2)])
    gradient = torch.tensor([[1.0, 2, 3], [4, 5, 6]]).double()
    x, _ = state.step(x, gradient, torch.zeros(2), torch.ones(2, dtype=torch.bool))
    expected, _ = state.step(x, gradient, torch.zeros(2), torch.tensor([False, True]))
    again = rule.start(2, Layout.of(3), torch.device("cpu"), torch.float64)
    for slot in range(2):
        again.reset(slot, torch.ones(3).double(), 5, torch.Generator())
    again.step(torch.ones(2, 3).double(), gradient, torch.zeros(2), torch.ones(2, dtype=torch.bool))
    assert again.resize([1], 1)
    found, _ = again.step(x[1:], gradient[1:], torch.zeros(1), torch.ones(1, dtype=torch.bool))
    assert torch.equal(found[0], expected[1])
