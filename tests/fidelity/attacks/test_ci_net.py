"""CI-Net: its generator as a function of the weights, its objective, and the authors' width."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.attacks.ci_net import CINet
from harness.attacks.untrained import NOISE
from harness.core import Batch, Knowledge
from tests.conftest import Observe
from tests.fidelity.attacks.statements import angle, configured, slope, variation
from tests.fidelity.conftest import Fidelity

WHAT = "(Zhang et al. 2023; Guo et al. 2025, code)"
BLOCKS = {"ci_net": 2, "ci_net_small": 1}


def normal(x: Tensor, weight: Tensor, bias: Tensor, slope: float) -> Tensor:
    """Batch normalisation by the batch, then leaky ReLU."""
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True, unbiased=False)
    y = (x - mean) / (variance + 1e-5).sqrt() * weight[:, None, None] + bias[:, None, None]
    return torch.maximum(y, slope * y)


def doubled(x: Tensor, interpolation: str) -> Tensor:
    if interpolation == "nearest":
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    return F.interpolate(x, scale_factor=2, mode=interpolation, align_corners=False)


def written_out(attack: CINet, weights: dict[str, Tensor], noise: Tensor) -> Tensor:
    """The generator for 8 x 8 images: maps of 4 and of 8 pixels."""
    left = iter(weights.values())
    x = torch.einsum("nl,lcij->ncij", noise, next(left)) + next(left)[:, None, None]
    x = normal(x, next(left), next(left), attack.slope)
    for size in (4, 8):
        x = x if size == 4 else doubled(x, attack.interpolation)
        for _ in range(attack.convolutions):
            weight, bias = next(left), next(left)
            if attack.spectral:
                weight = weight / torch.linalg.svdvals(weight.flatten(1))[0]
            x = normal(F.conv2d(x, weight, bias, padding=1), next(left), next(left), attack.slope)
    x = torch.einsum("kc,ncij->nkij", next(left)[:, :, 0, 0], x) + next(left)[:, None, None]
    assert next(left, None) is None
    return x.tanh() if attack.output == "tanh" else 1 / (1 + (-x).exp())


def test_the_generator_and_its_objective(observe: Observe, batch: Batch, fidelity: Fidelity) -> None:
    seen = observe(batch, knowledge=Knowledge(labels=batch.y))
    for name, blocks in BLOCKS.items():
        attack = replace(configured(name, latent=6), channels=5)
        assert attack.convolutions == blocks
        weights = {k: v.double() for k, v in attack.initial(seen, torch.Generator().manual_seed(3)).items()}
        known = attack.prepare(seen)
        made = written_out(attack, weights, known[NOISE])
        units = made if attack.output == "tanh" else 2 * made - 1
        what = f"noise, transposed convolution, {blocks} x (conv3, BN, leaky ReLU) at each size {WHAT}"
        fidelity("attack", name, what, attack.generate(weights, seen, known), units)
        expected = angle(slope(seen.params, units, batch.y), seen.update)
        expected = expected + attack.total_variation * variation(units)
        what = f"1 - cos of the whole gradients + TV {WHAT}"
        fidelity("attack", name, what, attack.loss(weights, seen, known), expected)
        fidelity(
            "attack", name, "noise N(0, 1) that stays: none of it is searched for", NOISE in weights, False
        )


def test_the_images_of_the_client_match(observe: Observe, batch: Batch, fidelity: Fidelity) -> None:
    """In place of what the generator makes, which need not contain them."""
    seen = observe(batch, knowledge=Knowledge(labels=batch.y))
    for name in BLOCKS:
        attack = configured(name)
        found = attack.mismatch(seen.model.normalize(batch.x), seen, attack.prepare(seen))
        fidelity("attack", name, "no loss at the client's own images", found, torch.zeros(()).double())


def test_the_width_of_the_authors(fidelity: Fidelity) -> None:
    attack = configured("ci_net")
    found = [attack.width((3, 32, 32), images) for images in (1, 64)]
    weights = [16 * 128 * c + 8 * 9 * c * c + 8 * c + c + 9 * 2 * c + 3 * c + 3 for c in (32, 64)]
    assert weights[0] <= 4 * 64 * 32 * 32 < weights[1]
    fidelity(
        "attack", "ci_net", f"32, doubled until > 4 weights a pixel {WHAT}", found, [32, 64], tolerance=0
    )
