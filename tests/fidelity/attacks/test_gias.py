"""GIAS: its objective with a generator for each image, and its two phases, as in ml-postech/GIAS."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.core import Batch, Knowledge, Observation, generator
from tests.conftest import Observe
from tests.fidelity.attacks.statements import (
    Points,
    adam,
    angle,
    configured,
    differences,
    searched,
    slope,
    thirds,
    variation,
)
from tests.fidelity.attacks.test_ggl import SIZE, Smooth
from tests.fidelity.conftest import Fidelity

FIRST, SECOND = 16, 24
BASIS = "generator.basis"
WHAT = "(Jeon et al. 2021, algorithm 1; code)"


@pytest.fixture
def seen(observe: Observe, batch: Batch) -> Observation:
    return observe(batch, knowledge=Knowledge(labels=batch.y, prior=Smooth()))


def units(points: Points) -> Tensor:
    """Images of several bases [n, SIZE, 64], normalised by .5."""
    made = [(0.4 * z @ basis).sigmoid().view(1, 8, 8) for z, basis in zip(*points.values(), strict=True)]
    return 2 * torch.stack(made) - 1


def objective(attack: Any, seen: Observation, points: Points, y: Tensor) -> Tensor:
    u = units(points)
    return angle(slope(seen.params, u, y), seen.update) + attack.total_variation * variation(u)


def somewhere() -> Points:
    rng = generator("somewhere")
    return {
        "latent": torch.randn(3, SIZE, generator=rng, dtype=torch.float64),
        BASIS: torch.randn(3, SIZE, 64, generator=rng, dtype=torch.float64),
    }


def test_the_objective(seen: Observation, batch: Batch, fidelity: Fidelity) -> None:
    attack, points = configured("gias"), somewhere()
    known = attack.prepare(seen)
    found, expected = attack.loss(points, seen, known), objective(attack, seen, points, batch.y)
    fidelity("attack", "gias", f"1 - cos of the whole gradients + 1e-6 TV {WHAT}", found, expected)
    plain = angle(slope(seen.params, units(points), batch.y), seen.update)
    found = attack.score(points, seen, known, 1e9)
    fidelity("attack", "gias", "restarts: by 1 - cos alone (code)", found, plain)
    other = replace(attack, distance="l2", total_variation=0.0)
    expected = differences(slope(seen.params, units(points), batch.y), seen.update)
    fidelity(
        "attack", "gias", "distance=l2: sum of squares (code)", other.loss(points, seen, known), expected
    )
    found = attack.mismatch(batch.x, seen, known)
    fidelity("attack", "gias", "no loss at the client's own images", found, torch.zeros(()).double())


def test_latent_vectors_and_then_weights(seen: Observation, batch: Batch, fidelity: Fidelity) -> None:
    attack = configured("gias", optimizer={"steps": FIRST})
    losses, found, start = searched(attack, seen, FIRST + SECOND)

    def first(points: Points, _: int) -> Tensor:
        return objective(attack, seen, points | {BASIS: start[BASIS]}, batch.y)

    mine, best = adam({"latent": start["latent"]}, first, FIRST, 3e-2, thirds(FIRST), signed=("latent",))

    def second(points: Points, _: int) -> Tensor:
        return objective(attack, seen, best | points, batch.y)

    later, _ = adam({BASIS: start[BASIS]}, second, SECOND, 1e-3, thirds(SECOND), signed=(BASIS,))
    what = (
        "signed Adam .03 on z, then .001 on the weights from the best z, each x .1 at 3/8, 5/8, 7/8: losses"
    )
    fidelity("attack", "gias", f"{what} {WHAT}", losses, mine + later)
    fidelity("attack", "gias", "the lowest loss is kept", found.loss, min(mine + later))
    drawn = torch.randn(3, SIZE, generator=torch.Generator().manual_seed(11))
    fidelity("attack", "gias", f"z starts at N(0, 1) {WHAT}", start["latent"], drawn)
    copies = Smooth().basis.expand(3, -1, -1)
    fidelity("attack", "gias", f"every image has a copy of the generator {WHAT}", start[BASIS], copies)
