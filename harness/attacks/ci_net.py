"""CI-Net: search for the weights of an over-parameterised generator that has seen no data."""

from functools import cache
from math import prod
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from harness.attacks.images import known_labels
from harness.attacks.matching import cosine_distance, squared_length, total_variation, trial_update
from harness.attacks.optimization import OptimizationAttack
from harness.attacks.solvers.evaluator import vectorizable
from harness.attacks.solvers.variables import Variables
from harness.attacks.untrained import NOISE, BatchNorm, blueprint, drawn_weights, generated
from harness.base.numbers import Fraction, NonNegative, Steps, Width
from harness.core import Batch, LabelInference, Observation, Params, Shape, component, generator
from harness.priors.networks import stages

NARROWEST, SPARE = 32, 4
"""The authors' rule for the width: from 32 doubled until there are more than 4 weights for every pixel."""


class SpectralConvolution(nn.Conv2d):
    """A 3x3 convolution whose matrix of weights has the spectral norm 1 (Miyato et al. 2018, eq. 8).

    The largest singular value is exact; the authors' comes from one step of power iteration for each evaluation.
    """

    def forward(self, x: Tensor) -> Tensor:
        norm = torch.linalg.matrix_norm(self.weight.flatten(1), ord=2)
        return nn.functional.conv2d(x, self.weight / norm, self.bias, padding=1)


@component
class CINet(OptimizationAttack):
    """Zhang et al. 2023 (CI-Net), in the setting of Guo et al. 2025: 1 - cos of the updates, over generator weights.

    Noise [n, latent], which stays as it is, goes through a transposed convolution to the smallest map, and from map to
    map twice as large, `convolutions` of 3x3 at each; a 1x1 convolution makes colours of the last. Signed Adam, as
    the authors'. Which activation the victim has says `model.nonlinearity`, which statistics it goes by
    `fl.normalization`: the authors' victims have sigmoids and go by the batch.
    """

    labels: LabelInference
    latent: Width = 128
    channels: Width | None = None
    """Of every map up to 32 pixels; half of them at 64, a quarter beyond. Null: the authors' rule."""
    convolutions: Steps = Field(default=2, le=16)
    """At each size."""
    spectral: bool = True
    """Whether their weights have the spectral norm 1."""
    slope: Fraction = 0.1
    """Of the leaky ReLU below zero."""
    interpolation: Literal["nearest", "bilinear"] = "nearest"
    output: Literal["tanh", "sigmoid"] = "tanh"
    """tanh: [-1, 1] in the network's units, as the authors', which of normalised images leaves out what lies beyond;
    sigmoid: [0, 1], whatever the units."""
    mode: Literal["train", "eval"] = "train"
    """Of the generator's batch normalisation: by each batch, or, eval, by mean 0 and variance 1."""
    total_variation: NonNegative = 0.0
    """Weight of the total variation, in the network's units."""

    def prepare(self, observation: Observation) -> Params:
        _blueprint(self, observation.shape, observation.n)  # under vmap none can be built
        like = next(iter(observation.update.values()))
        noise = torch.randn(observation.n, self.latent, generator=generator("generator noise"))
        return {
            "labels": known_labels(observation, self.labels),
            "squared_length": squared_length(observation.update),
            NOISE: noise.to(like),
            **super().prepare(observation),
        }

    def initial(self, observation: Observation, rng: torch.Generator) -> Variables:
        width = self.width(observation.shape, observation.n)
        return drawn_weights(lambda: self.network(observation.shape, width), rng)

    def width(self, shape: Shape, images: int) -> int:
        """The channels of the widest maps."""
        if self.channels is not None:
            return self.channels
        width, least = NARROWEST, SPARE * images * prod(shape[1:])
        while self._weights(shape, width) <= least:
            width *= 2
        return width

    def _weights(self, shape: Shape, width: int) -> int:
        return sum(value.numel() for value in blueprint(lambda: self.network(shape, width)).parameters())

    def network(self, shape: Shape, width: int) -> nn.Module:
        """Noise [n, latent] to maps [n, c, h, w]. Raises UserError for sides that can't be halved."""
        count = stages(shape)
        side = shape[1] >> count, shape[2] >> count
        layers: list[nn.Module] = [
            nn.Unflatten(1, (self.latent, 1, 1)),
            nn.ConvTranspose2d(self.latent, width, side),
            *self._normal(width),
        ]
        before = width
        for stage in range(count + 1):
            longer = max(side) << stage
            after = width // (1 if longer <= 32 else 2 if longer <= 64 else 4)
            if stage:
                layers.append(nn.Upsample(scale_factor=2, mode=self.interpolation))
            for _ in range(self.convolutions):
                kind = SpectralConvolution if self.spectral else nn.Conv2d
                layers += [kind(before, after, 3, padding=1), *self._normal(after)]
                before = after
        squash = nn.Tanh() if self.output == "tanh" else nn.Sigmoid()
        return nn.Sequential(*layers, nn.Conv2d(before, shape[0], 1), squash)

    def _normal(self, channels: int) -> tuple[nn.Module, nn.Module]:
        return BatchNorm(channels, self.mode == "train"), nn.LeakyReLU(self.slope)

    def generate(self, variables: Variables, observation: Observation, known: Params) -> Tensor:
        """The images [n, c, h, w], in the network's units, of a generator's weights."""
        network = _blueprint(self, observation.shape, observation.n)
        made = generated(network, variables, known[NOISE])
        return made if self.output == "tanh" else observation.model.normalize(made)

    def regularizers(
        self, variables: Variables, observation: Observation, known: Params
    ) -> dict[str, Tensor]:
        images = self.generate(variables, observation, known)
        return {"total_variation": self.total_variation * total_variation(images)}

    def mismatch(self, images: Tensor, observation: Observation, known: Params) -> Tensor:
        """1 - cos between the update of images, in the network's units, and the one received."""
        batch = Batch(observation.model.normalize.invert(images), known["labels"])
        trial = trial_update(batch, observation, known)
        return cosine_distance(trial, observation.update, known["squared_length"])

    @vectorizable
    def loss(self, variables: Variables, observation: Observation, known: Params) -> Tensor:
        images = self.generate(variables, observation, known)
        smooth = self.total_variation * total_variation(images)
        return self.mismatch(images, observation, known) + smooth

    def decode(self, variables: Variables, observation: Observation, known: Params) -> Batch:
        images = self.generate(variables, observation, known)
        return Batch(observation.model.normalize.invert(images), known["labels"])


@cache
def _blueprint(attack: CINet, shape: Shape, images: int) -> nn.Module:
    width = attack.width(shape, images)
    return blueprint(lambda: attack.network(shape, width))
