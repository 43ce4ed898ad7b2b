"""Generative gradient leakage: search a generator's latent space, through the client's own defence."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from harness.attacks.images import known_labels
from harness.attacks.matching import cosine_distance, squared_distance, trial_update
from harness.attacks.optimization import OptimizationAttack
from harness.attacks.solvers.evaluator import comparing, vectorizable
from harness.attacks.solvers.variables import LATENT, Variables
from harness.base.numbers import NonNegative, Steps
from harness.core import Batch, Generator, LabelInference, Observation, Params, component


def kl_divergence(z: Tensor) -> Tensor:
    """-1/2 (1 + log s^2 - m^2 - s^2) with m, s over the entries of each latent vector (GGL's code; eq. 8)."""
    mean, variance = z.mean(dim=-1), z.var(dim=-1, unbiased=False)
    return (-0.5 * (1 + torch.log(variance + 1e-10) - mean**2 - variance)).sum()


def norm_deviation(z: Tensor) -> Tensor:
    """(||z||^2 - k)^2 with k latent dimensions (Li et al. 2022, eq. 9)."""
    return (z.square().sum(dim=-1) - z.shape[-1]).square().sum()


@component
class GGL(OptimizationAttack):
    """Li et al. 2022, eq. 6: D(T(F(G(z))), y) + R(z) over the latent z, with label inference and adaptive T.

    `steps` rounds of `per_round` evaluations: the authors' 500 x 50 for CMA-ES; 2500 x 1 for Adam.
    """

    requires_prior: ClassVar[bool] = True
    labels: LabelInference
    per_round: Steps = 1
    distance: Literal["l2", "cosine"] = "l2"
    """l2: D1; cosine: D2."""
    per_tensor: bool = True
    """Divide D1 by the number of tensors, as the authors' code does for CMA-ES and not for Adam."""
    kl: NonNegative = 0.1
    """Weight of R1, the KL divergence of the latent vector's entries from N(0, 1)."""
    norm: NonNegative = 0.0
    """Weight of R2, (||z||^2 - k)^2; the paper states none (1e-4 is a working value)."""
    start: Literal["zeros", "normal", "uniform"] = "zeros"
    """The first latent vector, or the mean of the first population."""
    squash: bool = False
    """Search tanh(z) instead of z; the authors switch R1 off with it."""

    @property
    def evaluations_per_step(self) -> int:
        return self.per_round

    def prior(self, observation: Observation) -> Generator:
        """The generator that the attacker holds."""
        assert observation.knowledge.prior is not None
        return observation.knowledge.prior

    def prepare(self, observation: Observation) -> Params:
        return {"labels": known_labels(observation, self.labels), **super().prepare(observation)}

    def initial(self, observation: Observation, rng: torch.Generator) -> Variables:
        size = (observation.n, self.prior(observation).latent)
        if self.start == "zeros":
            return {LATENT: torch.zeros(size)}
        return {LATENT: (torch.randn if self.start == "normal" else torch.rand)(size, generator=rng)}

    def generate(self, variables: Variables, observation: Observation, known: Params) -> Tensor:
        """The images [n, c, h, w] in [0, 1] of latent vectors."""
        z = variables[LATENT].tanh() if self.squash else variables[LATENT]
        images: Tensor = self.prior(observation)(z, known["labels"])
        return images

    @comparing
    @vectorizable
    def loss(self, variables: Variables, observation: Observation, known: Params) -> Tensor:
        trial = trial_update(self.decode(variables, observation, known), observation, known)
        return self.compare(trial, variables, observation, known)

    def compare(self, trial: Params, variables: Variables, observation: Observation, known: Params) -> Tensor:
        """The loss, of a trial update."""
        mismatch = self.mismatch(trial, observation)
        terms = self.regularizers(variables, observation, known)
        return mismatch + (terms["kl"] + terms["norm"])

    def mismatch(self, trial: Params, observation: Observation) -> Tensor:
        """Distance between a trial update and the one received."""
        if self.distance == "l2":
            return squared_distance(trial, observation.update) / (len(trial) if self.per_tensor else 1)
        return cosine_distance(trial, observation.update)

    def regularizers(
        self, variables: Variables, observation: Observation, known: Params
    ) -> dict[str, Tensor]:
        """R1 and R2 with their weights."""
        z, kl = variables[LATENT], 0.0 if self.squash else self.kl
        return {"kl": kl * kl_divergence(z), "norm": self.norm * norm_deviation(z)}

    def decode(self, variables: Variables, observation: Observation, known: Params) -> Batch:
        return Batch(self.generate(variables, observation, known), known["labels"])
