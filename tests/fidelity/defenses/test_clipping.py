"""Clipping of the update's norm."""

import math

import pytest

from harness.core import Batch, Observation, Params, generator
from harness.defenses.clipping import Clipping
from tests.conftest import Observe
from tests.fidelity.conftest import Fidelity


def length(update: Params) -> float:
    return math.sqrt(math.fsum(float(v) ** 2 for g in update.values() for v in g.flatten()))


def sent(defense: Clipping, seen: Observation, batch: Batch) -> Params:
    return defense.on_update(seen.update, seen.model, seen.params, batch, generator("clipping"))


@pytest.mark.parametrize("share", [0.3, 3.0])
def test_the_whole_update_is_scaled_by_its_norm(
    share: float, observe: Observe, batch: Batch, fidelity: Fidelity
) -> None:
    seen = observe(batch)
    norm = length(seen.update)
    factor = min(1.0, share * norm / (norm + 1e-6))
    fidelity(
        "defense",
        "clipping",
        "global: g min(1, S / (||g|| + 1e-6)), ||g|| of all tensors (Li et al. 2022, code)",
        sent(Clipping(bound=share * norm), seen, batch),
        {name: factor * g for name, g in seen.update.items()},
    )


def test_each_tensor_is_scaled_by_its_own_norm(observe: Observe, batch: Batch, fidelity: Fidelity) -> None:
    seen = observe(batch)
    bound = length(seen.update) / 4
    factors = {name: min(1.0, bound / (length({name: g}) + 1e-6)) for name, g in seen.update.items()}
    assert min(factors.values()) < 1 == max(factors.values())
    fidelity(
        "defense",
        "clipping",
        "layer: g_l min(1, S / (||g_l|| + 1e-6)) for each tensor (Li et al. 2022, section 4.1)",
        sent(Clipping(bound=bound, scope="layer"), seen, batch),
        {name: factors[name] * g for name, g in seen.update.items()},
    )


def test_the_adaptive_attacker_clips_to_the_norm_that_came(
    observe: Observe, batch: Batch, fidelity: Fidelity
) -> None:
    seen = observe(batch)
    (adaptation,) = Clipping().adaptations()
    trial = {name: 7 * g.roll(1) for name, g in seen.update.items()}
    factor = min(1.0, length(seen.update) / (length(trial) + 1e-6))
    fidelity(
        "defense",
        "clipping",
        "attacker: the trial clipped to S^ = ||received|| (Li et al. 2022, section 3.3)",
        adaptation.apply(trial, adaptation.estimate(seen)),
        {name: factor * g for name, g in trial.items()},
    )
