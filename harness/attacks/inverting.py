"""Inverting gradients: match the update's direction by signed descent on the image."""

from typing import Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from harness.attacks.images import ImageSearch
from harness.attacks.matching import cosine_distance, squared_distance, total_variation, trial_update
from harness.attacks.solvers.evaluator import vectorizable
from harness.attacks.solvers.variables import Variables
from harness.core import Batch, Observation, Params, component


@component
class InvertingGradients(ImageSearch):
    """Geiping et al. 2020, eq. 4: cosine distance plus total variation, Adam on the sign of the gradient, boxed.

    Restarts are chosen by the distance alone, as the authors do.
    """

    boxed: bool = True
    distance: Literal["cosine", "l2"] = "cosine"
    total_variation: NonNegativeFloat = 0.1
    """Weight of the total variation, in the network's units: the code's default 1e-1, its script 1e-4, on weight
    updates 1e-6; paper 003 does not say."""

    autocast: bool = False
    """Differentiate the network in bfloat16 where torch.autocast deems it safe: faster on large networks, and about
    0.1 % to 3 % off the exact slope."""

    def mismatch(self, images: Tensor, observation: Observation, known: Params) -> Tensor:
        """Distance between the update of the images and the one received."""
        batch = Batch(observation.model.normalize.invert(images), known["labels"])
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.autocast):
            trial = trial_update(batch, observation, known)
        measure = cosine_distance if self.distance == "cosine" else squared_distance
        return measure(trial, observation.update)

    @vectorizable
    def loss(self, variables: Variables, observation: Observation, known: Params) -> Tensor:
        images = variables["images"]
        return self.mismatch(images, observation, known) + self.total_variation * total_variation(images)

    def score(self, variables: Variables, observation: Observation, known: Params, loss: float) -> float:
        with torch.no_grad():
            return float(self.mismatch(variables["images"], observation, known))
