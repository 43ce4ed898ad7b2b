"""Noise on the update, alone and after a clip."""

import math

import torch

from harness.core import Batch, Params, generator
from harness.defenses.clipping import Clipping
from harness.defenses.composed import Composed
from harness.defenses.noise import Noise
from harness.defenses.none import NoDefense
from tests.conftest import Observe
from tests.fidelity.conftest import Fidelity


def normal(update: Params) -> Params:
    """The draws of the client's generator, tensor by tensor."""
    rng = generator("noise")
    return {name: torch.randn(g.shape, generator=rng, dtype=g.dtype) for name, g in update.items()}


def test_every_entry_gets_its_own_noise(observe: Observe, batch: Batch, fidelity: Fidelity) -> None:
    seen = observe(batch)
    drawn = normal(seen.update)
    fidelity(
        "defense",
        "noise",
        "g + sigma e with e ~ N(0, 1) for each entry (Li et al. 2022, section 4.1)",
        Noise(sigma=0.1).on_update(seen.update, seen.model, seen.params, batch, generator("noise")),
        {name: g + 0.1 * drawn[name] for name, g in seen.update.items()},
    )


def test_the_noise_comes_after_the_clip(observe: Observe, batch: Batch, fidelity: Fidelity) -> None:
    seen = observe(batch)
    update = {name: 100 * g for name, g in seen.update.items()}
    drawn = normal(update)
    norm = math.sqrt(math.fsum(float(v) ** 2 for g in update.values() for v in g.flatten()))
    assert norm > 4
    fidelity(
        "defense",
        "clipping_noise",
        "g 4 / (||g|| + 1e-6) + .1 e (Li et al. 2022, figure 6)",
        Composed(defenses=[Clipping(bound=4.0), Noise(sigma=0.1)]).on_update(
            update, seen.model, seen.params, batch, generator("noise")
        ),
        {name: g * 4 / (norm + 1e-6) + 0.1 * drawn[name] for name, g in update.items()},
    )


def test_without_a_defence_the_update_is_sent_as_it_is(
    observe: Observe, batch: Batch, fidelity: Fidelity
) -> None:
    seen = observe(batch)
    sent = NoDefense().on_update(seen.update, seen.model, seen.params, batch, generator("noise"))
    fidelity("defense", "none", "g", sent, seen.update, tolerance=0)
