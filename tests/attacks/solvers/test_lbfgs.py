"""Batched L-BFGS against torch.optim.LBFGS, and against itself slot by slot."""

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.attacks.solvers.lbfgs import LBFGS, LBFGSState
from harness.attacks.solvers.variables import Layout
from tests.attacks.solvers.solver_problems import (
    Problem,
    deep_leakage,
    evaluate,
    minimise,
    of,
    quadratic,
    rosenbrock,
)

CPU = torch.device("cpu")
ROSENBROCK = torch.linspace(0.3, 0.9, 12, dtype=torch.float64)


def authors(
    problem: Problem, start: Tensor, steps: int, **options: float
) -> tuple[list[Tensor], list[float]]:
    """The loop of DLG and iDLG: distinct points in the order of their evaluation, ending at the last; losses."""
    x = start.clone().requires_grad_()
    points: list[Tensor] = []
    losses: list[float] = []
    optimizer = torch.optim.LBFGS([x], lr=1, **options)  # type: ignore[arg-type]

    def closure() -> float:
        loss, x.grad = problem(x.detach())
        losses.append(float(loss))
        if not points or not torch.equal(points[-1], x.detach()):
            points.append(x.detach().clone())
        return float(loss)

    for _ in range(steps):
        optimizer.step(closure)
    return [*points, x.detach()], losses


def state(optimizer: LBFGS, starts: Sequence[Tensor], steps: int = 10**6) -> tuple[LBFGSState, Tensor]:
    state = optimizer.start(len(starts), Layout.of(len(starts[0])), CPU, starts[0].dtype)
    points = [state.reset(slot, x, steps, torch.Generator()) for slot, x in enumerate(starts)]
    return state, torch.stack(points)


CASES = {
    "quadratic": (quadratic(60, 1e3), torch.zeros(60, dtype=torch.float64)),
    "rosenbrock": (of(rosenbrock), torch.linspace(0.3, 0.9, 20, dtype=torch.float64)),
    "leakage": deep_leakage(1),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("history", [5, 100])
def test_iterates_are_those_of_torch(case: str, history: int) -> None:
    problem, start = CASES[case]
    expected, _ = authors(problem, start, 3, history_size=history)
    (run,) = minimise(LBFGS(history=history), [problem], [start], 60)
    assert min(len(run.points), len(expected)) >= 40
    for ours, theirs in list(zip(run.points, expected, strict=False))[:45]:
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-8)


def test_rounding_splits_a_diverging_run_no_sooner_than_it_splits_torch_from_torch() -> None:
    problem, start = deep_leakage(5)
    expected, _ = authors(problem, start, 3)
    moved, _ = authors(problem, start * (1 + 2e-16), 3)
    (run,) = minimise(LBFGS(), [problem], [start], 60)
    for ours, theirs, rounded in list(zip(run.points, expected, moved, strict=False))[:40]:
        assert (ours - theirs).norm() <= 100 * (rounded - theirs).norm() + 1e-12 * theirs.norm()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("tolerance", [1e-9, 1e-3, 1e-1, 3.0])
@pytest.mark.parametrize("steps", [1, 2, 6])
def test_budget_ends_where_the_authors_loop_ends(case: str, tolerance: float, steps: int) -> None:
    """Steps of torch that stop early spend the whole step: with large tolerances nearly every one does."""
    problem, start = CASES[case]
    expected, _ = authors(problem, start, steps, max_iter=7, tolerance_change=tolerance)
    (run,) = minimise(LBFGS(max_iter=7, tolerance_change=tolerance), [problem], [start], 7 * steps)
    torch.testing.assert_close(run.last, expected[-1], rtol=1e-6, atol=1e-6)


def test_frozen_where_torch_moves_no_more() -> None:
    problem, start = quadratic(10, 10.0), torch.zeros(10, dtype=torch.float64)
    expected, _ = authors(problem, start, 300)
    (run,) = minimise(LBFGS(), [problem], [start], 6000)
    assert len(run.points) < 60
    torch.testing.assert_close(run.last, expected[-1], rtol=0, atol=1e-8)


@pytest.mark.parametrize(("dtype", "seeds"), [(torch.float32, (0, 5)), (torch.float64, (2, 5, 9))])
def test_leakage_succeeds_where_torch_does(dtype: torch.dtype, seeds: tuple[int, ...]) -> None:
    cases = [deep_leakage(seed, dtype) for seed in seeds]
    problems, starts = zip(*cases, strict=True)
    found = [run.best < 1e-6 for run in minimise(LBFGS(), problems, starts, 400)]
    assert found == [min(authors(*case, 20)[1]) < 1e-6 for case in cases]
    assert any(found)


def test_a_slot_does_what_it_would_do_alone() -> None:
    problems, starts = zip(*(deep_leakage(seed) for seed in range(3)), strict=True)
    together = minimise(LBFGS(), problems, starts, 40)
    reversed_ = minimise(LBFGS(), problems[::-1], starts[::-1], 40)[::-1]
    for slot, run in enumerate(together):
        (alone,) = minimise(LBFGS(), problems[slot : slot + 1], starts[slot : slot + 1], 40)
        torch.testing.assert_close(run.last, alone.last, rtol=1e-9, atol=1e-9)
        assert torch.equal(run.last, reversed_[slot].last)


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("retired", [True, False])
def test_a_broken_slot_breaks_no_other(poison: float, retired: bool) -> None:
    problems = [of(rosenbrock)] * 3
    starts = [ROSENBROCK, ROSENBROCK * 0.9, ROSENBROCK + 0.05]
    (healthy, x), (poisoned, z) = state(LBFGS(history=4), starts), state(LBFGS(history=4), starts)
    active = torch.tensor([True, True, True])
    for step in range(25):
        grad, loss = evaluate(problems, x)
        x, _ = healthy.step(x, grad, loss, active)
        grad, loss = evaluate(problems, z)
        if step >= 9:
            grad[1, 3:] = loss[1] = poison
        z, _ = poisoned.step(z, grad, loss, torch.tensor([True, step < 12 or not retired, True]))
    assert torch.equal(x[[0, 2]], z[[0, 2]])
    assert not torch.equal(x[1], z[1])


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_a_reset_slot_starts_afresh_and_disturbs_no_other(poison: float) -> None:
    problems = [of(rosenbrock), of(rosenbrock)]
    memory, x = state(LBFGS(history=6), [ROSENBROCK, ROSENBROCK * 0.8])
    other, z = state(LBFGS(history=6), [ROSENBROCK, ROSENBROCK * 0.8])
    active = torch.tensor([True, True])
    for step in range(11):
        grad, loss = evaluate(problems, x)
        grad[0, :6] = poison if step > 7 else grad[0, :6]
        x, _ = memory.step(x, grad, loss, active)
        z, _ = other.step(z, *evaluate(problems, z), active)
    x[0] = memory.reset(0, ROSENBROCK, 30, torch.Generator())
    fresh, f = state(LBFGS(history=6), [ROSENBROCK, ROSENBROCK], 30)
    for _ in range(20):
        x, _ = memory.step(x, *evaluate(problems, x), active)
        z, _ = other.step(z, *evaluate(problems, z), active)
        f, _ = fresh.step(f, *evaluate(problems, f), active)
    assert torch.equal(x[0], f[0])
    assert torch.equal(x[1], z[1])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_an_inactive_slot_waits(pattern: list[bool]) -> None:
    problems = [of(rosenbrock), of(rosenbrock)]
    paused, x = state(LBFGS(history=5), [ROSENBROCK, ROSENBROCK * 0.9])
    steady, z = state(LBFGS(history=5), [ROSENBROCK, ROSENBROCK * 0.9])
    for on in pattern:
        before = x[0]
        x, done = paused.step(x, *evaluate(problems, x), torch.tensor([on, True]))
        assert on or (torch.equal(x[0], before) and not done[0])
        if on:
            z, _ = steady.step(z, *evaluate(problems, z), torch.tensor([True, True]))
    assert torch.equal(x[0], z[0])


def test_a_done_slot_stays_where_it_is() -> None:
    problem = [quadratic(10, 3.0)]
    memory, x = state(LBFGS(), [torch.zeros(10, dtype=torch.float64)])
    active = torch.tensor([True])
    for _ in range(60):
        x, done = memory.step(x, *evaluate(problem, x), active)
    assert done
    y, done = memory.step(x, *evaluate(problem, x + 1), active)
    assert done
    assert torch.equal(x, y)
