"""Deep leakage from gradients: images and labels together, by L-BFGS."""

from typing import ClassVar

import torch
from torch import Tensor

from harness.attacks.images import initial_images
from harness.attacks.matching import squared_distance, trial_update
from harness.attacks.optimization import OptimizationAttack
from harness.attacks.solvers.evaluator import squared_matching, vectorizable
from harness.attacks.solvers.variables import LOGITS, Variables
from harness.base.threat import Need
from harness.core import Batch, Observation, Params, component


@component
class DLG(OptimizationAttack):
    """Zhu et al. 2019, algorithm 1: match the gradient in L2, searching for images and soft labels at once.

    The search runs in the network's own (normalised) units, from N(0, 1). The best iterate is returned.
    """

    needs: ClassVar[frozenset[Need]] = frozenset()
    accepts_start: ClassVar[bool] = True

    def revision(self) -> int:
        """2: of soft labels the gradient is not signed."""
        return 2 if getattr(self.optimizer, "signed", False) else self.version

    @property
    def evaluations_per_step(self) -> int:
        """L-BFGS makes 20 inner iterations in each of the papers' steps."""
        return 20

    def initial(self, observation: Observation, rng: torch.Generator) -> Variables:
        images = initial_images(observation, rng)
        logits = torch.randn(observation.n, observation.classes, generator=rng)
        return {"images": images, LOGITS: logits}

    @squared_matching
    @vectorizable
    def loss(self, variables: Variables, observation: Observation, known: Params) -> Tensor:
        images = observation.model.normalize.invert(variables["images"])
        trial = trial_update(Batch(images, variables[LOGITS].softmax(dim=-1)), observation, known)
        return squared_distance(trial, observation.update)

    def decode(self, variables: Variables, observation: Observation, known: Params) -> Batch:
        images = observation.model.normalize.invert(variables["images"])
        return Batch(images, variables[LOGITS].argmax(dim=-1))
