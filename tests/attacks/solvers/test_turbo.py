"""TuRBO: its process learns what matters, its region moves as the paper says, and no evaluation is too many."""

import math

import pytest
import torch
from torch import Tensor

from harness.attacks.solvers.gaussian_process import GaussianProcess
from harness.attacks.solvers.turbo import LENGTH, SHORTEST, Region, RegionSearch, TuRBO, latin_hypercube
from harness.core import UserError
from tests.attacks.solvers.solver_problems import minimise, quadratic

pytest.importorskip("gpytorch")
QUICK = TuRBO(initial=8, batch=3, candidates=64, fit_steps=5)
ZEROS = torch.zeros(6, dtype=torch.float64)


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_dimension_that_matters_gets_the_shorter_length() -> None:
    x = drawn(3, 30, 2)
    lengths = GaussianProcess(x, (9 * x[:, 0]).sin(), steps=50).lengthscales
    assert lengths[0] < 0.5 * lengths[1]


def test_draws_are_the_generators() -> None:
    process = GaussianProcess(drawn(0, 7, 3), drawn(1, 7), steps=2)
    one, two, other = (process.draw(drawn(2, 5, 3), 4, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert one.shape == (4, 5)
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    assert not torch.equal(one, other)


def test_a_region_doubles_after_three_successes_and_halves_when_patience_ends() -> None:
    region = Region(patience=2)
    for success, length in [(1, 1), (1, 1), (0, 1), (1, 1), (1, 1), (1, 2), (0, 2), (0, 1), (1, 1), (0, 1)]:
        region.judge(bool(success))
        assert region.length == pytest.approx(length * LENGTH)


def test_a_box_has_sides_of_that_geometric_mean() -> None:
    low, high = Region(patience=1, length=0.1).box(torch.full((4,), 0.5), torch.tensor([1.0, 2.0, 0.5, 1.0]))
    sides = high - low
    assert float(sides.prod()) ** 0.25 == pytest.approx(0.1)
    assert float(sides[1] / sides[2]) == pytest.approx(4.0)


@pytest.mark.parametrize(("count", "size"), [(2, 1), (9, 4)])
def test_a_hypercube_has_a_point_in_every_slice(count: int, size: int) -> None:
    points = latin_hypercube(count, size, torch.Generator().manual_seed(0))
    for column in (points * count).floor().mT:
        assert sorted(column.tolist()) == list(range(count))


@pytest.mark.parametrize("steps", [3, 8, 9, 25])
def test_the_last_batch_is_cut_to_the_budget(steps: int) -> None:
    (run,) = minimise(QUICK, [quadratic(6, 30.0)], [ZEROS], steps)
    assert len(run.losses) == steps
    assert float(torch.stack(run.points).abs().max()) <= 2


def test_it_answers_with_the_best_and_finds_more_than_the_design() -> None:
    (run,) = minimise(
        TuRBO(initial=12, batch=4, candidates=200, fit_steps=20), [quadratic(6, 30.0)], [ZEROS], 60
    )
    assert min(run.losses) < 0.5 * min(run.losses[:12])
    state = QUICK.start(1, *_layout())
    first = state.reset(0, ZEROS, 5, torch.Generator().manual_seed(0))
    state.step(first[None], None, torch.tensor([-1.0]), torch.tensor([True]))
    torch.testing.assert_close(state.end(0, ZEROS), first)


def _layout() -> tuple:  # type: ignore[type-arg]
    from harness.attacks.solvers.variables import Layout

    return Layout.of(6), torch.device("cpu"), torch.float64


def test_the_generator_decides_and_nothing_else() -> None:
    runs = [minimise(QUICK, [quadratic(6, 30.0)], [ZEROS], 20, seeds=[s])[0] for s in (4, 4, 5)]
    assert runs[0].losses == runs[1].losses != runs[2].losses


def test_a_candidate_differs_from_the_centre_and_stays_in_the_box() -> None:
    search = RegionSearch(TuRBO(candidates=500), torch.zeros(100), 9, torch.Generator().manual_seed(0))
    centre = torch.full((100,), 0.5, dtype=torch.float64)
    low, high = centre - 0.1, centre + 0.2
    found = search._candidates(centre, low, high)
    changed = (found != centre).sum(dim=1)
    assert int(changed.min()) >= 1
    assert 15 < float(changed.double().mean()) < 25  # 20 of 100
    assert bool(((found >= low) & (found <= high)).all())


def test_a_region_that_is_too_small_begins_anew_within_the_budget() -> None:
    search = RegionSearch(QUICK, ZEROS, 100, torch.Generator().manual_seed(0))
    for _ in range(8):
        search.tell(1.0)
    search.region.length = SHORTEST
    search.region.failures = search.region.patience - 1
    for _ in range(3):
        search.tell(2.0)
    assert (len(search.asked), search.known, search.region.length) == (8, 0, LENGTH)
    assert search.left == 89
    assert search.least == 1.0


def test_losses_that_are_no_numbers_are_the_worst() -> None:
    search = RegionSearch(QUICK, ZEROS, 100, torch.Generator().manual_seed(0))
    for loss in (3.0, math.nan, 1.0, math.inf, 2.0, 4.0, 2.0, 2.0):
        search.tell(loss)
    assert search._finite().tolist() == [3, 4, 1, 4, 2, 4, 2, 2]
    assert search.least == 1.0


def test_it_may_begin_where_the_others_do() -> None:
    rule = TuRBO(initial=8, from_start=True)
    inside = RegionSearch(rule, torch.full((6,), 1.0), 9, torch.Generator())
    assert inside.ask().tolist() == [0.75] * 6
    with pytest.raises(UserError, match="outside"):
        RegionSearch(rule, torch.full((6,), 3.0), 9, torch.Generator())
