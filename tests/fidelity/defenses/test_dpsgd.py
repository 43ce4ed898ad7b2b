"""DP-SGD beside Abadi et al. 2016, image by image."""

import math

import torch

from harness.core import Batch, Params, generator
from harness.core.gradient import gradient
from harness.defenses.dpsgd import DPSGD
from tests.conftest import Observe
from tests.fidelity.conftest import Fidelity

BOUND, NOISE = 0.02, 1.5


def test_clipped_images_and_noise_make_the_gradient(
    observe: Observe, batch: Batch, fidelity: Fidelity
) -> None:
    seen, rng = observe(batch), generator("noise")
    total: Params = {name: torch.zeros_like(value) for name, value in seen.params.items()}
    for x, y in zip(batch.x, batch.y, strict=True):
        leaves = {name: value.clone().requires_grad_() for name, value in seen.params.items()}
        logits = torch.func.functional_call(seen.model, leaves, (x[None],))[0]
        (torch.logsumexp(logits, 0) - logits[y]).backward()
        own = {name: value.grad for name, value in leaves.items()}
        norm = math.sqrt(math.fsum(float(v) ** 2 for g in own.values() for v in g.flatten()))
        total = {name: total[name] + g / max(1.0, norm / BOUND) for name, g in own.items()}
    drawn = {name: torch.randn(g.shape, generator=rng, dtype=g.dtype) for name, g in total.items()}
    step = DPSGD(bound=BOUND, noise=NOISE).on_gradient(gradient, generator("noise"))
    fidelity(
        "defense",
        "dpsgd",
        "(sum_i g_i / max(1, ||g_i|| / C) + noise C e) / n (Abadi et al. 2016, algorithm 1)",
        step(seen.model, seen.params, batch),
        {name: (g + NOISE * BOUND * drawn[name]) / len(batch) for name, g in total.items()},
    )
