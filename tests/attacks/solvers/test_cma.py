"""Both CMA-ES: they find minima, deterministically, each slot on its own."""

import math
import random
import warnings
from typing import TYPE_CHECKING

import pytest
import torch
from pydantic import ValidationError

from harness.attacks.solvers.cma import CMA
from harness.attacks.solvers.nevergrad import NevergradCMA
from harness.attacks.solvers.variables import Layout
from tests.attacks.solvers.solver_problems import Problem, evaluate, minimise, of, quadratic, rosenbrock

if TYPE_CHECKING:
    from harness.attacks.solvers.optimizer import Optimizer

ZEROS = torch.zeros(6, dtype=torch.float64)
BOTH = [CMA(), NevergradCMA(), NevergradCMA(ask_ahead=7)]

both = pytest.mark.parametrize("optimizer", BOTH, ids=["torch", "nevergrad", "ahead"])


@both
def test_finds_the_minimum_of_a_quadratic(optimizer: "Optimizer") -> None:
    for run in minimise(optimizer, [quadratic(6, 30.0)] * 2, [ZEROS] * 2, 300):
        assert len(run.losses) == 300
        assert run.best < 0.03 * run.losses[0]
        assert torch.isfinite(run.last).all()


def test_learns_a_bent_valley() -> None:
    runs = minimise(CMA(), [of(rosenbrock)] * 3, [ZEROS] * 3, 2400)
    assert sorted(run.best for run in runs)[1] < 1e-3


@both
def test_the_generator_decides_and_nothing_else(optimizer: "Optimizer") -> None:
    import numpy

    problem = [quadratic(6, 30.0)]
    (expected,) = minimise(optimizer, problem, [ZEROS], 60, seeds=[5])
    (other,) = minimise(optimizer, problem, [ZEROS], 60, seeds=[6])
    draws = iter(range(100))

    def unsettling(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seed = next(draws)
        numpy.random.seed(seed)
        random.seed(seed)
        torch.manual_seed(seed)
        return problem[0](x)

    with torch.random.fork_rng():
        (disturbed,) = minimise(optimizer, [unsettling], [ZEROS], 60, seeds=[5])
    assert expected.losses == disturbed.losses
    assert expected.losses != other.losses


@both
def test_draws_nothing_from_global_generators(optimizer: "Optimizer") -> None:
    import numpy

    minimise(optimizer, [quadratic(6, 2.0)], [ZEROS], 5)
    before = numpy.random.get_state()[1].tolist(), random.getstate(), torch.get_rng_state().tolist()
    minimise(optimizer, [quadratic(6, 2.0)], [ZEROS], 60)
    assert before == (numpy.random.get_state()[1].tolist(), random.getstate(), torch.get_rng_state().tolist())


@both
def test_a_slot_does_what_it_would_do_alone(optimizer: "Optimizer") -> None:
    problems: list[Problem] = [quadratic(6, 2.0), of(rosenbrock), quadratic(6, 90.0)]
    starts = [ZEROS, ZEROS + 0.3, ZEROS - 2]
    together = minimise(optimizer, problems, starts, 80)
    for slot, run in enumerate(together):
        (alone,) = minimise(optimizer, [problems[slot]], [starts[slot]], 80, seeds=[slot])
        assert run.losses == pytest.approx(alone.losses, rel=1e-6)


@both
def test_reset_and_pause(optimizer: "Optimizer") -> None:
    """A slot that is loaded later, after a broken problem, and that is paused for a while."""
    problem: list[Problem] = [quadratic(6, 5.0)] * 2
    (expected,) = minimise(optimizer, problem[:1], [ZEROS], 50, seeds=[8])
    state = optimizer.start(2, Layout.of(6), torch.device("cpu"), torch.float64)
    x = torch.stack([state.reset(slot, ZEROS, 500, torch.Generator().manual_seed(slot)) for slot in (0, 1)])
    found: list[object] = []
    for step in range(100):
        if step == 30:
            x[1] = state.reset(1, ZEROS, 50, torch.Generator().manual_seed(8))
        loss = evaluate(problem, x)[1]
        if step < 30:
            loss[1] = math.nan
        on = step < 40 or step >= 60
        if step >= 30 and on and len(found) < 50:
            found.append(float(loss[1]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            x, done = state.step(x, None, loss, torch.tensor([True, on]))
    assert found == pytest.approx(expected.losses, rel=1e-9)
    assert done.tolist() == [False, True]


@both
def test_the_first_population_surrounds_the_start(optimizer: "Optimizer") -> None:
    start = torch.full((400,), 3.0, dtype=torch.float64)
    (run,) = minimise(optimizer, [quadratic(400, 2.0)], [start], 5)
    deviations = torch.stack(run.points) - start
    assert deviations.std().item() == pytest.approx(1.0, rel=0.1)
    assert abs(deviations.mean().item()) < 0.1


@pytest.mark.parametrize("family", [CMA, NevergradCMA])
def test_sigma_and_population_are_obeyed(family: type[CMA] | type[NevergradCMA]) -> None:
    start = torch.zeros(200, dtype=torch.float64)
    (run,) = minimise(family(sigma=0.1, population=40), [quadratic(200, 2.0)], [start], 81)
    points = torch.stack(run.points)
    assert points[:40].std().item() == pytest.approx(0.1, rel=0.1)
    assert points[:40].mean(0).norm() < points[40:80].mean(0).norm()


def test_done_when_the_population_has_shrunk() -> None:
    (run,) = minimise(CMA(tolerance=1e-3), [quadratic(6, 2.0)], [ZEROS], 10**5)
    assert len(run.losses) < 2000
    assert run.best < 1e-4


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_broken_candidate_ranks_last(bad: float) -> None:
    """Half of space has no loss; the minimum lies close to the border."""

    def problem(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        loss, grad = quadratic(6, 5.0)(x)
        return (loss if x[0] > 0.5 else torch.full_like(loss, bad)), grad

    (run,) = minimise(CMA(), [problem], [ZEROS], 900)
    finite = [loss for loss in run.losses if math.isfinite(loss)]
    assert min(finite) < 1e-4


def test_no_slot_at_work() -> None:
    state = CMA().start(2, Layout.of(3), torch.device("cpu"), torch.float32)
    x = torch.ones(2, 3)
    points, done = state.step(x, None, torch.zeros(2), torch.tensor([False, False]))
    assert torch.equal(points, x)
    assert not done.any()


def test_refuses_a_population_of_one() -> None:
    with pytest.raises(ValidationError):
        CMA(population=1)
