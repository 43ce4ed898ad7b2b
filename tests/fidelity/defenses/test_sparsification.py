"""Only the largest entries of each tensor are sent."""

import numpy as np
import torch

from harness.core import Batch, Params, generator
from harness.defenses.sparsification import Sparsification
from tests.conftest import Observe
from tests.fidelity.conftest import Fidelity


def pruned(update: Params, percent: float) -> Params:
    def of(g: np.ndarray) -> np.ndarray:
        return np.where(np.abs(g) < np.percentile(np.abs(g), percent), 0, g)

    return {name: torch.from_numpy(of(g.numpy())) for name, g in update.items()}


def test_entries_below_the_percentile_of_their_tensor_are_zero(
    observe: Observe, batch: Batch, fidelity: Fidelity
) -> None:
    seen = observe(batch)
    wide = {"wide": torch.randn(3_000_001, generator=generator("wide"), dtype=torch.float64)}
    for update, percent in ((seen.update, 90.0), (seen.update, 33.3), (wide, 99.9)):
        fidelity(
            "defense",
            "sparsification",
            "g where |g| >= numpy.percentile(|g|, p) of its tensor, else 0 (Li et al. 2022, code)",
            Sparsification(percent=percent).on_update(update, seen.model, {}, batch, generator("none")),
            pruned(update, percent),
            tolerance=0,
        )


def test_the_adaptive_attacker_prunes_as_much_as_came_pruned(
    observe: Observe, batch: Batch, fidelity: Fidelity
) -> None:
    seen = observe(batch)
    for name, g in pruned(seen.update, 70).items():
        seen.update[name] = g
    (adaptation,) = Sparsification().adaptations()
    zeros = sum(int((g == 0).sum()) for g in seen.update.values())
    trial = {
        name: g + 1e-3 * torch.cos(torch.arange(g.numel())).view_as(g) for name, g in seen.update.items()
    }
    fidelity(
        "defense",
        "sparsification",
        "attacker: the trial pruned at p^ = 100 zeros / entries of what came (Li et al. 2022, code)",
        adaptation.apply(trial, adaptation.estimate(seen)),
        pruned(trial, 100 * zeros / sum(g.numel() for g in seen.update.values())),
        tolerance=0,
    )
