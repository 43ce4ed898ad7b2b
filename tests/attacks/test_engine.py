"""The engine: what is reported belongs to one point, slots are independent, nothing is lost at the edges."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from harness.attacks.optimization import OptimizationAttack
from harness.attacks.solvers.adam import Adam
from harness.attacks.solvers.lbfgs import LBFGS
from harness.attacks.solvers.variables import Layout, Variables
from harness.core import Batch, Observation, Params, Problem, Unreadable, component
from tests.conftest import Observe


@component
class Bowl(OptimizationAttack):
    """Search for the first image's mean by a loss that needs no network; where `scale` is too large, it overflows."""

    def initial(self, observation: Observation, rng: torch.Generator) -> Variables:
        return {"images": torch.rand(observation.n, *observation.shape, generator=rng, dtype=torch.float64)}

    def loss(self, variables: Variables, observation: Observation, known: Params) -> Tensor:
        target = observation.update["target"]
        return (variables["images"] - target).square().sum() * observation.update["scale"]

    def decode(self, variables: Variables, observation: Observation, known: Params) -> Batch:
        return Batch(variables["images"], torch.zeros(observation.n, dtype=torch.int64))


def bowl(observe: Observe, batch: Batch, identity: int, scale: float = 1.0) -> Problem:
    observation = observe(batch)
    target = torch.full((3, 1, 8, 8), 0.1 * identity, dtype=torch.float64)
    update = {"target": target, "scale": torch.tensor(scale, dtype=torch.float64)}
    return Problem(identity, replace(observation, update=update), seed=identity)


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_results_do_not_depend_on_slots_or_order(observe: Observe, batch: Batch, slots: int) -> None:
    problems = [bowl(observe, batch, identity) for identity in range(4)]
    alone = {f.problem: f for f in Bowl(optimizer=Adam(lr=0.05), steps=30)(problems)}
    attack = Bowl(optimizer=Adam(lr=0.05), steps=30, slots=slots)
    found = {f.problem: f for f in attack(reversed(problems))}
    assert sorted(found) == [0, 1, 2, 3]
    for identity, reconstruction in found.items():
        assert torch.equal(reconstruction.x, alone[identity].x)
        assert reconstruction.loss == alone[identity].loss


def test_the_reported_loss_is_that_of_the_returned_image(observe: Observe, batch: Batch) -> None:
    """Not that of the point before it (breaching and LeakPro are one step late)."""
    problem = bowl(observe, batch, 3)
    (found,) = Bowl(optimizer=Adam(lr=0.5), steps=40)([problem])
    target = problem.observation.update["target"]
    assert float((found.x - target).square().sum()) == pytest.approx(found.loss, rel=1e-12)
    assert found.loss == min(point["loss"] for point in found.trace)


def test_restarts_are_chosen_by_score(observe: Observe, batch: Batch) -> None:
    problem = bowl(observe, batch, 2)
    (one,) = Bowl(optimizer=Adam(lr=0.01), steps=5)([problem])
    (best,) = Bowl(optimizer=Adam(lr=0.01), steps=5, restarts=6, slots=4)([problem])
    assert best.loss < one.loss
    assert best.evaluations == 30


def test_a_bad_problem_retires_its_slot_alone(observe: Observe, batch: Batch) -> None:
    problems = [bowl(observe, batch, k, scale=1e308 if k == 1 else 1.0) for k in range(3)]
    found = {f.problem: f for f in Bowl(optimizer=Adam(lr=0.05), steps=20, slots=3)(problems)}
    assert found[1].status == "diverged"
    assert found[1].evaluations == 1
    assert [found[k].status for k in (0, 2)] == ["budget", "budget"]
    assert bool(torch.isfinite(found[1].x).all())


def test_an_exploding_problem_is_diverged(observe: Observe, batch: Batch) -> None:
    (found,) = Bowl(optimizer=Adam(lr=1e4), steps=200)([bowl(observe, batch, 1)])
    assert found.status == "diverged"
    assert found.evaluations < 40


def test_tolerance_stops_early(observe: Observe, batch: Batch) -> None:
    (found,) = Bowl(optimizer=Adam(lr=0.05), steps=2000, tolerance=1e-3)([bowl(observe, batch, 1)])
    assert found.status == "converged"
    assert found.loss < 1e-3
    assert found.evaluations < 2000


@pytest.mark.parametrize("improvement", [0.01, 0.5])
def test_patience_ends_a_search_whose_loss_falls_no_more(
    observe: Observe, batch: Batch, improvement: float
) -> None:
    problem, adam = bowl(observe, batch, 4), Adam(lr=0.05)
    (whole,) = Bowl(optimizer=adam, steps=100)([problem])
    losses = [point["loss"] for point in whole.trace]
    mark = end = 0
    while end - mark <= 8:  # eight evaluations after the last one that was lower by the share
        mark = end if losses[end] < (1 - improvement) * losses[mark] else mark
        end += 1
    (found,) = Bowl(optimizer=adam, steps=100, patience=8, improvement=improvement)([problem])
    assert (found.status, found.evaluations) == ("stalled", end)
    assert 8 < end < 100
    assert [point["loss"] for point in found.trace] == losses[:end]
    (spent,) = Bowl(optimizer=adam, steps=100, patience=100)([problem])
    assert spent.status == "budget"
    assert torch.equal(spent.x, whole.x)


def test_queue_edges(observe: Observe, batch: Batch) -> None:
    """No problem; one; fewer and more than there are slots."""
    for slots in (1, 4, 16):
        attack = Bowl(optimizer=Adam(lr=0.05), steps=3, slots=slots)
        for count in (0, 1, 3, 5):
            found = attack(bowl(observe, batch, identity) for identity in range(count))
            assert sorted(one.problem for one in found) == list(range(count))


def test_problems_are_asked_for_one_at_a_time(observe: Observe, batch: Batch) -> None:
    """A thousand problems must not stand in memory at once."""
    asked: list[int] = []

    def queue() -> Iterator[Problem]:
        for identity in range(6):
            asked.append(identity)
            yield bowl(observe, batch, identity)

    results = Bowl(optimizer=Adam(lr=0.05), steps=3, slots=2)(queue())
    next(results)
    assert len(asked) <= 3


def test_layout_round_trip() -> None:
    layout = Layout({"a": torch.Size([2, 3]), "b": torch.Size([4])})
    for lead in ((), (5,)):
        variables = {"a": torch.rand(*lead, 2, 3), "b": torch.rand(*lead, 4)}
        back = layout.unflatten(layout.flatten(variables))
        assert all(torch.equal(back[name], variables[name]) for name in variables)


@pytest.mark.parametrize(
    "optimizer", [Adam(lr=0.05), LBFGS()], ids=lambda optimizer: type(optimizer).__name__
)
def test_dropping_empty_slots_at_the_end_changes_nothing(
    observe: Observe, batch: Batch, optimizer: Adam | LBFGS
) -> None:
    """Problems of different length leave 7 slots one by one."""
    problems = [bowl(observe, batch, identity, scale=10.0**-identity) for identity in range(9)]
    for slots in (1, 7):
        attack = Bowl(optimizer=optimizer, steps=40, slots=slots, tolerance=1e-4)
        found = {f.problem: f for f in attack(problems)}
        assert len({f.evaluations for f in found.values()}) > 2
        if slots == 1:
            alone = found
    for identity, reconstruction in found.items():
        assert torch.equal(reconstruction.x, alone[identity].x)
        assert reconstruction.evaluations == alone[identity].evaluations


@pytest.mark.parametrize("optimizer", [Adam(lr=0.05), LBFGS(lr=0.1)], ids=lambda one: type(one).__name__)
def test_slots_come_back_when_more_problems_are_ready(
    observe: Observe, batch: Batch, optimizer: Adam | LBFGS
) -> None:
    """One problem on which nine others wait: 8 slots shrink to one, and grow again."""
    problems = [bowl(observe, batch, identity) for identity in range(10)]
    attack = Bowl(optimizer=optimizer, steps=12, slots=8)
    alone = {f.problem: f for problem in problems for f in attack([problem])}
    finished: list[int] = []

    def queue() -> Iterator[Problem | None]:
        yield problems[0]
        while not finished:
            yield None
        yield from problems[1:]

    for found in attack(queue()):
        finished.append(found.problem)
        assert torch.equal(found.x, alone[found.problem].x)
        assert found.trace == alone[found.problem].trace
    assert sorted(finished) == list(range(10))


@component
class Choosy(Bowl):
    """Makes nothing of a problem whose scale is zero."""

    def prepare(self, observation: Observation) -> Params:
        if float(observation.update["scale"]) == 0:
            raise Unreadable("there is nothing to read")
        return {}


@pytest.mark.parametrize("slots", [1, 2, 5])
@pytest.mark.parametrize("scales", [(0, 1, 1), (1, 0, 1), (0, 0, 0), (1, 1, 0)], ids=str)
def test_what_can_not_be_read_fails_alone(
    observe: Observe, batch: Batch, slots: int, scales: tuple[int, ...]
) -> None:
    problems = [bowl(observe, batch, k, scale) for k, scale in enumerate(scales)]
    found = {f.problem: f for f in Choosy(optimizer=Adam(lr=0.05), steps=3, slots=slots)(problems)}
    assert [found[k].status for k in range(3)] == ["budget" if scale else "failed" for scale in scales]
    assert all(torch.isfinite(each.x).all() for each in found.values())


def test_a_problem_may_wait_for_one_that_fails(observe: Observe, batch: Batch) -> None:
    done: list[int] = []

    def problems() -> Iterator[Problem | None]:
        for k in range(3):
            yield bowl(observe, batch, k, 0)
            while len(done) <= k:
                yield None

    for found in Choosy(optimizer=Adam(lr=0.05), steps=3)(problems()):
        done.append(found.problem)  # noqa: PERF401 - the generator above reads it meanwhile
    assert done == [0, 1, 2]
