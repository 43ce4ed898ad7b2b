"""GRNN: a generator whose weights are searched for makes images and labels at once."""

from functools import cache
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from harness.attacks.matching import squared_distance, trial_update
from harness.attacks.optimization import OptimizationAttack
from harness.attacks.solvers.evaluator import vectorizable
from harness.attacks.solvers.variables import Variables
from harness.attacks.untrained import NOISE, BatchNorm, blueprint, drawn_weights
from harness.base.numbers import NonNegative, Width
from harness.core import Batch, Observation, Params, Shape, component, generator
from harness.priors.networks import stages

ROOT = 1e-12
"""Added to the squared distance before its root, whose slope is infinite at an exact match."""


def squared_variation(x: Tensor) -> Tensor:
    """2 / n (sum dy^2 / entries of dy + sum dx^2 / entries of dx), entries counted in one image [c, h, w]."""
    vertical, horizontal = x.diff(dim=-2), x.diff(dim=-1)
    parts = [d.square().sum() / d[0].numel() for d in (vertical, horizontal)]
    return 2 / len(x) * (parts[0] + parts[1])


class Branches(nn.Module):
    """Noise [n, latent] to images [n, c, h, w] and to label probabilities [n, classes] (Ren et al. 2022, figure 2)."""

    def __init__(self, images: nn.Module, labels: nn.Module) -> None:
        super().__init__()
        self.images, self.labels = images, labels

    def forward(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """What both branches make."""
        return self.images(noise), self.labels(noise)


@component
class GRNN(OptimizationAttack):
    """Ren et al. 2022, eq. 9 and algorithm 1: ||g' - g||^2 + ||g' - g|| + TV over the weights of a generator.

    Noise [n, latent] stays as it is. A transposed convolution makes the smallest map of it; each block doubles the
    side (nearest), halves the channels, and has a convolution without bias, batch normalisation and a gated linear
    unit; the last has as many channels as the images. The authors' RMSprop has momentum .99, which is of the method.
    The published "Wasserstein distance" is the plain norm in the authors' code, and so here.
    """

    latent: Width = 128
    channels: Width | None = None
    """Of the smallest map; null: 4 times the longer side of the images, as the authors'."""
    output: Literal["sigmoid", "tanh"] = "sigmoid"
    """The range of the images in the network's own units: (0, 1), as the authors', which of images normalised to
    [-1, 1] leaves out the darker half, or (-1, 1)."""
    norm: NonNegative = 1.0
    """Weight of the distance that is not squared."""
    total_variation: NonNegative = 1e-3
    """Weight of `squared_variation`; the authors' 1e-6 for a ResNet-18."""

    def prepare(self, observation: Observation) -> Params:
        _blueprint(self, observation.shape, observation.classes)  # under vmap none can be built
        like = next(iter(observation.update.values()))
        noise = torch.randn(observation.n, self.latent, generator=generator("generator noise"))
        return {NOISE: noise.to(like), **super().prepare(observation)}

    def initial(self, observation: Observation, rng: torch.Generator) -> Variables:
        """PyTorch's default weights: what the authors' code sets in their place never reaches a layer."""
        return drawn_weights(lambda: self.network(observation.shape, observation.classes), rng)

    def network(self, shape: Shape, classes: int) -> Branches:
        """The generator. Raises UserError for sides that can't be halved."""
        count = stages(shape)
        channels, height, width = shape
        base = self.channels or 4 * max(height, width)
        side = height >> count, width >> count
        layers: list[nn.Module] = [
            nn.Unflatten(1, (self.latent, 1, 1)),
            nn.ConvTranspose2d(self.latent, 2 * base, side),
            *_gated(2 * base),
        ]
        for stage in range(count):
            before = max(1, base >> stage)
            after = channels if stage == count - 1 else max(1, before // 2)
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(before, 2 * after, 3, padding=1, bias=False)]
            layers += _gated(2 * after)
        squash = nn.Sigmoid() if self.output == "sigmoid" else nn.Tanh()
        labels = nn.Sequential(nn.Linear(self.latent, classes), nn.Softmax(dim=-1))
        return Branches(nn.Sequential(*layers, squash), labels)

    def generate(
        self, variables: Variables, observation: Observation, known: Params
    ) -> tuple[Tensor, Tensor]:
        """Images [n, c, h, w] in the network's units and label probabilities [n, classes] of a generator's weights."""
        network = _blueprint(self, observation.shape, observation.classes)
        made: tuple[Tensor, Tensor] = functional_call(network, variables, (known[NOISE],))
        return made

    def mismatch(self, images: Tensor, labels: Tensor, observation: Observation, known: Params) -> Tensor:
        """||g' - g||^2 + ||g' - g|| of images in the network's units and label probabilities."""
        batch = Batch(observation.model.normalize.invert(images), labels)
        distance = squared_distance(trial_update(batch, observation, known), observation.update)
        return distance + self.norm * (distance + ROOT).sqrt()

    @vectorizable
    def loss(self, variables: Variables, observation: Observation, known: Params) -> Tensor:
        images, labels = self.generate(variables, observation, known)
        smooth = self.total_variation * squared_variation(images)
        return self.mismatch(images, labels, observation, known) + smooth

    def decode(self, variables: Variables, observation: Observation, known: Params) -> Batch:
        images, labels = self.generate(variables, observation, known)
        return Batch(observation.model.normalize.invert(images), labels.argmax(dim=-1))


def _gated(channels: int) -> list[nn.Module]:
    return [BatchNorm(channels), nn.GLU(dim=1)]


@cache
def _blueprint(attack: GRNN, shape: Shape, classes: int) -> nn.Module:
    return blueprint(lambda: attack.network(shape, classes))
