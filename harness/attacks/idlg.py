"""Improved deep leakage from gradients: the label first, then the image by L-BFGS."""

from typing import ClassVar

from torch import Tensor

from harness.attacks.images import ImageSearch
from harness.attacks.matching import squared_distance, trial_update
from harness.attacks.solvers.evaluator import squared_matching, vectorizable
from harness.attacks.solvers.variables import Variables
from harness.base.threat import Need
from harness.core import Batch, Observation, Params, component


@component
class IDLG(ImageSearch):
    """Zhao et al. 2020, algorithm 1: read the label off the head's gradient, then match the gradient in L2."""

    needs: ClassVar[frozenset[Need]] = frozenset()

    @property
    def evaluations_per_step(self) -> int:
        """L-BFGS makes 20 inner iterations in each of the papers' steps."""
        return 20

    @squared_matching
    @vectorizable
    def loss(self, variables: Variables, observation: Observation, known: Params) -> Tensor:
        images = observation.model.normalize.invert(variables["images"])
        trial = trial_update(Batch(images, known["labels"]), observation, known)
        return squared_distance(trial, observation.update)
