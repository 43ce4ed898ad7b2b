"""The cocktail party attack: images as sources that the gradient of a linear layer mixes."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.attacks.matching import total_variation
from harness.attacks.optimization import OptimizationAttack
from harness.attacks.solvers.evaluator import vectorizable
from harness.attacks.solvers.variables import Variables
from harness.base.numbers import Fraction, NonNegative, Positive
from harness.base.threat import Need
from harness.core import Batch, Classifier, Observation, Params, Unreadable, UserError, component, generator
from harness.models.embeddings import embeddings, first_linear

UNMIXING = "unmixing"


def mixing(model: Classifier) -> str:
    """The name of the parameter in whose gradient the inputs of the first linear layer are mixed: its weight, or where
    an adapter has frozen that, the adapter's A, whose gradient is B^T dW."""
    name = first_linear(model)
    adapted = name.removesuffix(".frozen")
    return f"{name}.weight" if adapted == name else f"{adapted}.down"


def whitening(gradient: Tensor, sources: int, negligible: float) -> tuple[Tensor, Tensor]:
    """W [sources, h], by which a gradient [h, d] has uncorrelated rows of variance 1, and which of them there are.

    Of the covariance of the rows the largest eigenvalues, in double precision; those below `negligible` of the first
    are no image, and their rows are zero (Kariyappa et al. 2023, section 4.1).
    """
    centred = gradient.double() - gradient.double().mean(dim=1, keepdim=True)
    values, vectors = torch.linalg.eigh(centred @ centred.T / (gradient.shape[1] - 1))
    values, vectors = values.flip(0)[:sources], vectors.flip(1)[:, :sources]
    there = values > negligible * values[0]
    white = torch.where(there, values, 1).rsqrt()[:, None] * vectors.T * there[:, None]
    missing = sources - len(values)  # a layer narrower than the batch
    return F.pad(white, (0, 0, 0, missing)), F.pad(there, (0, missing))


def directions(variables: Variables) -> Tensor:
    """U [n, n] with rows of length 1."""
    return F.normalize(variables[UNMIXING], dim=-1)


def log_cosh(x: Tensor) -> Tensor:
    """log cosh x, for large x too."""
    return x.abs() + F.softplus(-2 * x.abs()) - math.log(2)


def decorrelation(unmixing: Tensor, there: Tensor, sharpness: float) -> Tensor:
    """sum over pairs i != j of exp(T |cos(u_i, u_j)|) - 1, over B^2: the authors' mean but for its constant diagonal.

    `unmixing` [B, B] has rows of length 1; `there` says which of them count.
    """
    cosines = unmixing @ unmixing.T
    pairs = there[:, None] * there * (1 - torch.eye(len(unmixing)).to(there))
    return (pairs * torch.expm1(sharpness * cosines.abs())).sum() / there.sum() ** 2


@component
class Unmixing(OptimizationAttack):
    """What attacks on embeddings and on images share: sources S = U W (G - mean) of the first linear layer's gradient.

    `sources` are the rows of U W G, with the mean put back. U starts as the identity, and only the directions of its
    rows count. As many sources are sought as images, or as there are eigenvalues that are not negligible.
    """

    negentropy: NonNegative = 1.0
    """Weight of mean_i (mean_j log cosh S_ij)^2, which is to be large; the authors' code sets the term to zero."""
    decorrelation: NonNegative
    """Weight of mean_ij exp(T |cos(u_i, u_j)|) - 1."""
    sharpness: Positive
    """T."""
    negligible: Fraction = 1e-6
    """Eigenvalues below this part of the largest one are noise: a trained network may have learnt an image so well
    that it has next to no gradient. The authors take as many as there are images: 0."""

    def prepare(self, observation: Observation) -> Params:
        known = super().prepare(observation)
        gradient = observation.update.get(mixing(observation.model))
        if gradient is None:
            name = first_linear(observation.model)
            raise UserError(
                f"clients send no gradient of {name}, the first linear layer: there is nothing to unmix"
            )
        if not bool(gradient.any()):
            raise Unreadable("the gradient of the first linear layer is zero: there is nothing to unmix")
        white, there = whitening(gradient, observation.n, self.negligible)
        mixed = white @ gradient.double()
        mean = mixed.mean(dim=1, keepdim=True)
        found = {"mixed": mixed - mean, "mean": mean, "there": there, "white": white}
        return {**known, **{name: value.to(gradient.dtype) for name, value in found.items()}}

    def initial(self, observation: Observation, rng: torch.Generator) -> Variables:
        """The identity: the whitened gradient is where the authors begin."""
        return {UNMIXING: torch.eye(observation.n)}

    def sources(self, variables: Variables, known: Params) -> Tensor:
        """U W G [n, d]; a row of zeros for each that there is not."""
        return directions(variables) @ (known["mixed"] + known["mean"])

    def independence(self, variables: Variables, known: Params) -> Tensor:
        """Negentropy and decorrelation, with their weights."""
        unmixing, there = directions(variables), known["there"]
        spread = log_cosh(unmixing @ known["mixed"]).mean(dim=-1).square()
        apart = decorrelation(unmixing, there, self.sharpness)
        return self.decorrelation * apart - self.negentropy * (there * spread).sum() / there.sum()


@component
class CPA(Unmixing):
    """Kariyappa et al. 2023, eq. 7 and section 4: unmix the gradient of a linear layer on the images themselves.

    Minimises independence + TV of the sources as images. Their scale is not known; nor is their sign, which the
    authors choose by the truth. Both can be read off the bias instead: its gradient is that of a pixel that is 1 in
    every image, so that a source divided by its share of the bias is an image (ours). Reports no labels.
    """

    total_variation: NonNegative = 3.1
    """Weight of the total variation of the sources [n, c, h, w], which does most of the unmixing of photographs."""
    scale: Literal["range", "bias"] = "range"
    """range: from the least to the largest value of a source to [0, 1]; bias: by its share of the bias."""
    sign: Literal["truth", "bias"] = "truth"
    """truth: of an image and its negative that which is nearer the client's; bias: as its share of the bias has it."""

    @classmethod
    def needed(cls, settings: Mapping[str, Any]) -> frozenset[Need]:
        return cls.needs | ({Need.SIGNS} if settings.get("sign", "truth") == "truth" else set())

    def revision(self) -> int:
        """2 where a loss may begin below zero: such searches had been taken for diverged after 20 steps."""
        return 1 if self.total_variation >= 1 else 2

    @property
    def either_sign(self) -> bool:
        return self.sign == "truth"

    def prepare(self, observation: Observation) -> Params:
        """Raises UserError for a network whose first linear layer sees anything but the pixels."""
        known, name = super().prepare(observation), first_linear(observation.model)
        if not sees_pixels(observation):
            raise UserError(f"attack=cpa: {name} is not on the images: say model=mlp, or attack=cpa_fi")
        bias = observation.update.get(f"{name}.bias")
        if bias is None:
            if "bias" in (self.scale, self.sign):
                raise UserError(f"attack=cpa: {name} has no bias, by which scale or sign could be told")
            return known
        return {**known, "shares": known["white"] @ bias}

    def images(self, variables: Variables, observation: Observation, known: Params) -> Tensor:
        """The sources [n, c, h, w], of any scale and sign."""
        return self.sources(variables, known).reshape(-1, *observation.shape)

    @vectorizable
    def loss(self, variables: Variables, observation: Observation, known: Params) -> Tensor:
        smooth = total_variation(self.images(variables, observation, known))
        return self.independence(variables, known) + self.total_variation * smooth

    def decode(self, variables: Variables, observation: Observation, known: Params) -> Batch:
        images, there = self.images(variables, observation, known), known["there"].bool()
        if "bias" in (self.scale, self.sign):
            shares = (directions(variables) @ known["shares"])[:, None, None, None]
            images = images / shares if self.scale == "bias" else images * shares.sign()
        units = observation.model.normalize.invert(images) if self.scale == "bias" else _stretched(images)
        grey = torch.full_like(units, 0.5)
        found = torch.where(there[:, None, None, None], torch.nan_to_num(units, nan=0.5), grey)
        return Batch(found, torch.full((len(found),), -1, device=found.device))


def sees_pixels(observation: Observation) -> bool:
    """Whether the first linear layer comes before all else."""
    like = next(iter(observation.params.values()))
    probe = torch.rand(1, *observation.shape, generator=generator("probe")).to(like)
    seen = embeddings(observation.model, observation.params, probe)
    pixels = observation.model.normalize(probe).flatten(1)
    return seen.shape == pixels.shape and torch.equal(seen, pixels)


def _stretched(images: Tensor) -> Tensor:
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    return (images - low) / (high - low)
