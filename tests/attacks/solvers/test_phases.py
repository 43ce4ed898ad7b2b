"""Two phases of a search: which variables move, from where, and beside searches of another age."""

import torch
from torch import Tensor

from harness.attacks.solvers.adam import Adam
from harness.attacks.solvers.phases import Phases
from harness.attacks.solvers.variables import LATENT, Layout

LAYOUT = Layout({LATENT: torch.Size([2]), "rest": torch.Size([3])})
RULE = Phases(steps=4, first=Adam(lr=0.3), second=Adam(lr=0.1))


def followed(start: Tensor, steps: int) -> list[Tensor]:
    """All points of a search for the least of |x|."""
    state = RULE.start(1, LAYOUT, start.device, start.dtype)
    x = state.reset(0, start, steps, torch.Generator())[None]
    points = []
    done = torch.tensor([False])
    while not done:
        points.append(x[0])
        x, done = state.step(x, x.sign(), x.abs().sum(1), ~done)
    return points


def test_one_moves_and_then_the_others_from_the_best() -> None:
    points = followed(torch.tensor([0.5, 0.7, 1.0, 1.0, 1.0]), steps=10)
    assert len(points) == 11
    assert all(torch.equal(point[2:], torch.ones(3)) for point in points[:5])
    best = min(points[:4], key=lambda point: float(point.abs().sum()))
    assert torch.equal(points[4], best)
    assert not torch.equal(points[4], points[3]), "the last of the first phase is not the best here"
    assert all(torch.equal(point[:2], best[:2]) for point in points[4:])
    assert all(float(point[2]) < 1 for point in points[5:])


def test_a_short_search_has_the_first_phase_alone() -> None:
    points = followed(torch.ones(5), steps=3)
    assert len(points) == 4
    assert all(torch.equal(point[2:], torch.ones(3)) for point in points)


def test_slots_of_other_ages_change_nothing() -> None:
    start = torch.tensor([0.5, 0.7, 1.0, 1.0, 1.0])
    alone = followed(start, steps=8)
    state = RULE.start(2, LAYOUT, start.device, start.dtype)
    x = torch.stack([start, torch.zeros(5)])
    state.reset(0, start, 8, torch.Generator())
    for age, expected in enumerate(alone):
        torch.testing.assert_close(x[0], expected)
        if age == 3:
            x[1] = state.reset(1, 2 * start, 8, torch.Generator())
        x, _ = state.step(x, x.sign(), x.abs().sum(1), torch.tensor([True, age >= 3]))
        if age == 5:
            assert state.resize([0, 1], 2)
