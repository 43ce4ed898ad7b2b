"""Where a search ends, beside the best of its iterates: what the authors' loops return."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.attacks.images import ImageSearch
from harness.attacks.solvers.adam import Adam
from harness.attacks.solvers.cma import CMA
from harness.attacks.solvers.lbfgs import LBFGS
from harness.attacks.solvers.nevergrad import NevergradCMA
from harness.attacks.solvers.optimizer import Optimizer
from harness.config.composition import compose
from harness.core import Attempt, Batch, Iterate, Problem, Reconstruction
from harness.runs.clients import Clients
from tests.attacks.test_engine import Bowl, bowl
from tests.conftest import Observe

STEPS = 15
LOOPS: dict[str, tuple[Optimizer, Callable[[Tensor], Any]]] = {
    "adam": (Adam(lr=0.7), lambda x: torch.optim.Adam([x], lr=0.7)),
    "lbfgs": (LBFGS(lr=0.2, max_iter=1), lambda x: torch.optim.LBFGS([x], lr=0.2, max_iter=1)),
}


@pytest.mark.parametrize("name", LOOPS)
def test_a_spent_budget_ends_where_the_authors_loop_does(observe: Observe, batch: Batch, name: str) -> None:
    """Their loops end with a move, whose loss they never see."""
    problem, (ours, theirs) = bowl(observe, batch, 3), LOOPS[name]
    (found,) = Bowl(optimizer=ours, steps=STEPS)([problem])
    start = Bowl(steps=1, optimizer=ours).initial(problem.observation, Attempt(problem, 0).generator())[
        "images"
    ]
    x = start.clone().requires_grad_()
    optimizer, target = theirs(x), problem.observation.update["target"]

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = (x - target).square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    for _ in range(STEPS):
        optimizer.step(closure)
    assert found.end.unclamped is not None
    torch.testing.assert_close(found.end.unclamped, x.detach(), rtol=1e-9, atol=1e-12)
    assert found.end.loss == pytest.approx(float((x - target).detach().square().sum()), rel=1e-9)


def test_the_last_iterate_may_be_worse_than_the_best(observe: Observe, batch: Batch) -> None:
    (found,) = Bowl(optimizer=Adam(lr=1.5), steps=STEPS)([bowl(observe, batch, 3)])
    assert found.last is not None
    assert found.last.loss > found.loss
    assert 0 <= float(found.last.x.min()) <= float(found.last.x.max()) <= 1
    assert found.end.unclamped is not None
    assert float(found.end.unclamped.min()) < 0


def test_a_search_that_converges_ends_at_its_best(observe: Observe, batch: Batch) -> None:
    (found,) = Bowl(optimizer=Adam(lr=0.05), steps=2000, tolerance=1e-3)([bowl(observe, batch, 1)])
    assert (found.status, found.last) == ("converged", None)
    assert found.end.x is found.x


def test_a_search_that_diverges_ends_where_that_was_seen(observe: Observe, batch: Batch) -> None:
    (found,) = Bowl(optimizer=Adam(lr=1e4), steps=200)([bowl(observe, batch, 1)])
    assert found.status == "diverged"
    assert found.last is not None
    assert found.last.loss == pytest.approx(found.trace[-1]["loss"])


@pytest.mark.parametrize("rule", [CMA(population=6), NevergradCMA(population=6)], ids=["cma", "nevergrad"])
def test_a_sampling_search_ends_with_what_it_recommends(
    observe: Observe, batch: Batch, rule: Optimizer
) -> None:
    """Not with the candidate that it tried last."""
    (found,) = Bowl(optimizer=rule, steps=60)([bowl(observe, batch, 3)])
    last_tried = found.trace[-1]["loss"]
    assert found.end.loss < last_tried
    assert found.end.loss == pytest.approx(_loss(found.end, 0.3))


def _loss(found: Iterate, level: float) -> float:
    assert found.unclamped is not None
    return float((found.unclamped - level).square().sum())


@pytest.mark.parametrize("slots", [1, 3])
def test_restarts_choose_each_iterate_by_its_own_score(observe: Observe, batch: Batch, slots: int) -> None:
    problem = bowl(observe, batch, 2)
    alone = [_restart(problem, restart) for restart in range(4)]
    (found,) = Bowl(optimizer=Adam(lr=1.5), steps=STEPS, restarts=4, slots=slots)([problem])
    assert found.loss == min(one.loss for one in alone)
    assert found.end.loss == min(one.end.loss for one in alone)


def _restart(problem: Problem, restart: int) -> Reconstruction:
    attack = Bowl(optimizer=Adam(lr=1.5), steps=STEPS)
    return attack.reconstruct(problem.observation, Attempt(problem, restart).generator())


def test_a_boxed_search_ends_in_its_box() -> None:
    """The last move is projected like all others."""
    experiment = compose(
        "logger=none", "attack=ig", "attack.steps=2", "model=mlp", "model.hidden=8", "trials=1"
    )
    assert isinstance(experiment.attack, ImageSearch)
    (found,) = experiment.attack([Clients(experiment)[0].problem])
    assert found.end.unclamped is not None
    assert -1e-6 <= float(found.end.unclamped.min()) <= float(found.end.unclamped.max()) <= 1 + 1e-6
