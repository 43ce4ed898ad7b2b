"""Inverting gradients: match the update's direction by signed descent on the image."""

from typing import Literal

import torch
from torch import Tensor

from harness.attacks.images import ImageSearch
from harness.attacks.matching import (
    cosine_distance,
    estimate_defenses,
    squared_distance,
    squared_length,
    total_variation,
    trial_update,
)
from harness.attacks.solvers.evaluator import matching, vectorizable
from harness.attacks.solvers.variables import LOGITS, Variables
from harness.base.numbers import NonNegative
from harness.core import Batch, Observation, Params, component


@component
class InvertingGradients(ImageSearch):
    """Geiping et al. 2020, eq. 4: cosine distance plus total variation, Adam on the sign of the gradient, boxed.

    The update of a client that trains for several steps is met by one that is unrolled over such steps (section 5.3).
    Restarts are chosen by the distance alone, as the authors do.
    """

    boxed: bool = True
    distance: Literal["cosine", "l2"] = "cosine"
    total_variation: NonNegative = 0.1
    """Weight of the total variation, in the network's units: the code's default 1e-1, its script 1e-4, on weight
    updates 1e-6; Li et al. 2022 do not say."""

    autocast: bool = False
    """Differentiate the network in bfloat16 where torch.autocast deems it safe: faster on large networks, and about
    0.1 % to 3 % off the exact gradient."""
    full_batch: bool = False
    """Unroll one step an epoch on all dummies, as Zhu et al. 2024 do, not minibatches like the client's."""
    soft_labels: bool = False
    """Search for soft labels too, instead of reading them off the update (as Zhu et al. 2024 do for several images)."""

    def revision(self) -> int:
        """2: of soft labels the gradient is not signed."""
        return 2 if self.soft_labels and getattr(self.optimizer, "signed", False) else self.version

    def prepare(self, observation: Observation) -> Params:
        known = estimate_defenses(observation) if self.soft_labels else super().prepare(observation)
        return known | {"squared_length": squared_length(observation.update)}

    def initial(self, observation: Observation, rng: torch.Generator) -> Variables:
        start = super().initial(observation, rng)
        if self.soft_labels:
            start[LOGITS] = torch.randn(observation.n, observation.classes, generator=rng)
        return start

    def project(self, variables: Variables, observation: Observation) -> Variables:
        return variables | super().project(variables, observation)

    @matching
    def mismatch(self, variables: Variables, observation: Observation, known: Params) -> Tensor:
        """Distance between the update of the images and the one received."""
        images = variables["images"]
        labels = variables[LOGITS].softmax(dim=-1) if self.soft_labels else known["labels"]
        batch = Batch(observation.model.normalize.invert(images), labels)
        order = [torch.arange(len(images)) for _ in observation.protocol.epochs(len(images))]
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.autocast):
            trial = trial_update(batch, observation, known, order if self.full_batch else None)
        if self.distance == "cosine":
            return cosine_distance(trial, observation.update, known["squared_length"])
        return squared_distance(trial, observation.update)

    @matching
    @vectorizable
    def loss(self, variables: Variables, observation: Observation, known: Params) -> Tensor:
        fidelity = self.regularizers(variables, observation, known)["total_variation"]
        return self.mismatch(variables, observation, known) + fidelity

    def regularizers(
        self, variables: Variables, observation: Observation, known: Params
    ) -> dict[str, Tensor]:
        return {"total_variation": self.total_variation * total_variation(variables["images"])}

    def score(self, variables: Variables, observation: Observation, known: Params, loss: float) -> float:
        with torch.no_grad():
            return float(self.mismatch(variables, observation, known))

    def decode(self, variables: Variables, observation: Observation, known: Params) -> Batch:
        labels = variables[LOGITS].argmax(dim=-1) if self.soft_labels else known["labels"]
        return Batch(observation.model.normalize.invert(variables["images"]), labels)
