"""GIAS: search a generator's latent space, then the weights of one generator for each image."""

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.func import functional_call

from harness.attacks.images import known_labels
from harness.attacks.matching import cosine_distance, squared_distance, total_variation, trial_update
from harness.attacks.optimization import OptimizationAttack
from harness.attacks.solvers.variables import LATENT, Variables
from harness.base.numbers import NonNegative
from harness.core import Batch, Generator, LabelInference, Observation, Params, component

WEIGHT = "generator."
"""What the names of the generators' weights begin with."""


@component
class GIAS(OptimizationAttack):
    """Jeon et al. 2021 (GIAS), algorithm 1: 1 - cos of the updates, over latent vectors and then over weights.

    `steps` evaluations in all, shared out by `optimizer=phases`: the latent vectors alone, then, from the best of them,
    the weights alone, of which every image has a copy. Restarts, which go through both phases (the authors' through the
    first), are chosen by the distance alone. The generator stays in eval mode.
    """

    requires_prior: ClassVar[bool] = True
    labels: LabelInference
    distance: Literal["cosine", "l2"] = "cosine"
    total_variation: NonNegative = 1e-6
    """Weight of the total variation, in the network's units."""

    def prior(self, observation: Observation) -> Generator:
        """The generator that the attacker holds."""
        assert observation.knowledge.prior is not None
        return observation.knowledge.prior

    def prepare(self, observation: Observation) -> Params:
        return {"labels": known_labels(observation, self.labels), **super().prepare(observation)}

    def initial(self, observation: Observation, rng: torch.Generator) -> Variables:
        prior = self.prior(observation)
        weights = {
            f"{WEIGHT}{name}": value.detach().expand(observation.n, *value.shape).clone()
            for name, value in prior.named_parameters()
        }
        return {LATENT: torch.randn(observation.n, prior.latent, generator=rng), **weights}

    def generate(self, variables: Variables, observation: Observation, known: Params) -> Tensor:
        """The images [n, c, h, w] in [0, 1], each by the weights that are its own."""
        weights = {name.removeprefix(WEIGHT): w for name, w in variables.items() if name.startswith(WEIGHT)}
        z, y, prior = variables[LATENT], known["labels"], self.prior(observation)
        images = [
            functional_call(prior, {name: w[k] for name, w in weights.items()}, (z[k : k + 1], y[k : k + 1]))
            for k in range(observation.n)
        ]
        return torch.cat(images)

    def mismatch(self, images: Tensor, observation: Observation, known: Params) -> Tensor:
        """Distance between the update of images in [0, 1] and the one received."""
        trial = trial_update(Batch(images, known["labels"]), observation, known)
        measure = cosine_distance if self.distance == "cosine" else squared_distance
        return measure(trial, observation.update)

    def loss(self, variables: Variables, observation: Observation, known: Params) -> Tensor:
        images = self.generate(variables, observation, known)
        smooth = self.total_variation * total_variation(observation.model.normalize(images))
        return self.mismatch(images, observation, known) + smooth

    def regularizers(
        self, variables: Variables, observation: Observation, known: Params
    ) -> dict[str, Tensor]:
        images = observation.model.normalize(self.generate(variables, observation, known))
        return {"total_variation": self.total_variation * total_variation(images)}

    def score(self, variables: Variables, observation: Observation, known: Params, loss: float) -> float:
        with torch.no_grad():
            return float(self.mismatch(self.generate(variables, observation, known), observation, known))

    def decode(self, variables: Variables, observation: Observation, known: Params) -> Batch:
        return Batch(self.generate(variables, observation, known), known["labels"])
