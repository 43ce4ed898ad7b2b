"""GRNN: its generator as a function of the weights, and its objective."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.attacks.untrained import NOISE
from harness.core import Batch
from tests.conftest import CLASSES, Observe
from tests.fidelity.attacks.statements import configured, differences, slope
from tests.fidelity.conftest import Fidelity

WHAT = "(Ren et al. 2022; code)"


def gated(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Batch normalisation by the batch, then a times sigmoid(b) of the halves a, b of the channels."""
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True, unbiased=False)
    y = (x - mean) / (variance + 1e-5).sqrt() * weight[:, None, None] + bias[:, None, None]
    half = y.shape[1] // 2
    return y[:, :half] / (1 + (-y[:, half:]).exp())


def written_out(weights: dict[str, Tensor], noise: Tensor, doublings: int) -> tuple[Tensor, Tensor]:
    left = iter(weights.values())
    x = torch.einsum("nl,lcij->ncij", noise, next(left)) + next(left)[:, None, None]
    x = gated(x, next(left), next(left))
    for _ in range(doublings):
        x = F.conv2d(x.repeat_interleave(2, 2).repeat_interleave(2, 3), next(left), padding=1)
        x = gated(x, next(left), next(left))
    scores = (noise @ next(left).T + next(left)).exp()
    assert next(left, None) is None
    return 1 / (1 + (-x).exp()), scores / scores.sum(1, keepdim=True)


def test_the_generator_and_its_objective(observe: Observe, batch: Batch, fidelity: Fidelity) -> None:
    seen = observe(batch)
    attack = configured("grnn", latent=6)
    weights = {k: v.double() for k, v in attack.initial(seen, torch.Generator().manual_seed(3)).items()}
    known = attack.prepare(seen)
    images, labels = written_out(weights, known[NOISE], doublings=1)
    what = f"transposed convolution, then nearest x2, conv3, BN, GLU for each size, sigmoid {WHAT}"
    fidelity("attack", "grnn", what, attack.generate(weights, seen, known)[0], images)
    fidelity(
        "attack",
        "grnn",
        f"labels: softmax of a linear layer {WHAT}",
        attack.generate(weights, seen, known)[1],
        labels,
    )
    squared = differences(slope(seen.params, images, labels), seen.update)
    across, down = images[..., 1:] - images[..., :-1], images[..., 1:, :] - images[..., :-1, :]
    smooth = 2 / 3 * ((across**2).sum() / (8 * 7) + (down**2).sum() / (7 * 8))
    expected = squared + squared.sqrt() + 1e-3 * smooth
    what = f"||g' - g||^2 + ||g' - g|| + 1e-3 TV {WHAT}"
    fidelity("attack", "grnn", what, attack.loss(weights, seen, known), expected, tolerance=1e-8)


def test_the_networks_sizes(fidelity: Fidelity) -> None:
    network = configured("grnn").network((3, 32, 32), 10)
    shapes = [tuple(layer.weight.shape) for layer in network.modules() if hasattr(layer, "weight")]
    convolutions = [shape for shape in shapes if len(shape) == 4]
    expected = [(128, 256, 4, 4), (128, 128, 3, 3), (64, 64, 3, 3), (6, 32, 3, 3)]
    fidelity("attack", "grnn", f"kernels at 32 pixels {WHAT}", convolutions == expected, True, tolerance=0)


def test_the_images_and_labels_of_the_client_match(
    observe: Observe, batch: Batch, fidelity: Fidelity
) -> None:
    """In place of what the generator makes, which need not contain them."""
    seen = observe(batch)
    attack = replace(configured("grnn"), norm=0.0)
    labels = F.one_hot(batch.y, CLASSES).double()
    found = attack.mismatch(seen.model.normalize(batch.x), labels, seen, attack.prepare(seen))
    fidelity(
        "attack", "grnn", "no loss at the client's own images and labels", found, torch.zeros(()).double()
    )
