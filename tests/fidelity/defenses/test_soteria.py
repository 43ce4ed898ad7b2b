"""Columns of the head's weight gradient, pruned by how far their feature moves the image."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from harness.core import Batch, Observation, generator
from harness.defenses.soteria import Soteria
from tests.conftest import Observe
from tests.fidelity.conftest import Fidelity


def representation(seen: Observation, x: Tensor) -> Tensor:
    """What the head of `tests.conftest.smooth_network` receives."""
    w = seen.params
    hidden = F.conv2d((x - 0.5) / 0.5, w["network.0.weight"], w["network.0.bias"], stride=2, padding=1)
    hidden = F.linear(hidden.sigmoid().flatten(1), w["network.3.weight"], w["network.3.bias"])
    return hidden.sigmoid()


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("epsilon", [1e-10, 0.1])
def test_the_features_that_move_the_image_most_are_pruned(
    images: int, epsilon: float, observe: Observe, batch: Batch, fidelity: Fidelity
) -> None:
    batch = Batch(batch.x[:images], batch.y[:images])
    seen = observe(batch)
    score = np.zeros(12)
    for image in batch.x:
        x = image[None].clone().requires_grad_(True)
        r = representation(seen, x)[0]
        for i in range(12):
            (slope,) = torch.autograd.grad(r[i], x, retain_graph=True)
            score[i] += np.linalg.norm(slope.numpy()) / (abs(float(r[i].detach())) + epsilon)
    kept = torch.from_numpy(score >= np.percentile(score, 60))
    expected = dict(seen.update)
    expected["network.5.weight"] = seen.update["network.5.weight"] * kept
    fidelity(
        "defense",
        "soteria",
        "columns i of the head with ||dr_i/dx|| / (|r_i| + e) below the percentile are 0 (Sun et al. 2021, code)",
        Soteria(percent=60, epsilon=epsilon).on_update(
            seen.update, seen.model, seen.params, batch, generator("none")
        ),
        expected,
    )


def test_the_same_columns_have_the_largest_quotient_of_the_paper(
    observe: Observe, batch: Batch, fidelity: Fidelity
) -> None:
    """Sun et al. 2021: prune the largest ||r_i (dr_i/dx)^-1||; the inverse of a row is v' / ||v||^2."""
    batch = Batch(batch.x[:1], batch.y[:1])
    seen = observe(batch)
    x = batch.x.clone().requires_grad_(True)
    r = representation(seen, x)[0]
    slopes = [torch.autograd.grad(r[i], x, retain_graph=True)[0].flatten() for i in range(12)]
    quotient = torch.stack([(r[i] * v / v.square().sum()).norm() for i, v in enumerate(slopes)]).detach()
    sent = Soteria(percent=50).on_update(seen.update, seen.model, seen.params, batch, generator("none"))
    fidelity(
        "defense",
        "soteria",
        "what is pruned has the largest ||r_i (dr_i/dx)^-1|| (Sun et al. 2021)",
        (sent["network.5.weight"] == 0).all(0).nonzero().flatten(),
        quotient.argsort(descending=True)[:6].sort().values,
        tolerance=0,
    )


def test_the_adaptive_attacker_reads_the_mask(observe: Observe, batch: Batch, fidelity: Fidelity) -> None:
    seen = observe(batch)
    columns = torch.arange(12) % 3 > 0
    seen.update["network.5.weight"] = seen.update["network.5.weight"] * columns
    (adaptation,) = Soteria().adaptations()
    trial = {name: torch.ones_like(g) for name, g in seen.update.items()}
    expected = dict(trial)
    expected["network.5.weight"] = columns.double().expand(5, 12)
    fidelity(
        "defense",
        "soteria",
        "attacker: the trial's head times (received head != 0) (Li et al. 2022, code)",
        adaptation.apply(trial, adaptation.estimate(seen)),
        expected,
    )
