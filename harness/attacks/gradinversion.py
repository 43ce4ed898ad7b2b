"""GradInversion as Li et al. 2022 run it: L2 matching by Adam, without batch-norm statistics."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from harness.attacks.images import ImageSearch
from harness.attacks.matching import squared_distance, total_variation, trial_update
from harness.attacks.solvers.evaluator import matching, vectorizable
from harness.attacks.solvers.variables import Variables
from harness.base.numbers import NonNegative
from harness.core import Batch, Observation, Params, component


@component
class GradInversion(ImageSearch):
    """Yin et al. 2021, eqs. 1-7, less the batch-norm and group terms: Li et al. 2022 do not allow them.

    The authors published no code, and Li et al. 2022 no regularisers: total variation 1e-4 and l2 1e-6 are the original
    paper's (section 4.1).
    """

    distance: ClassVar[Literal["l2"]] = "l2"
    boxed: bool = True
    total_variation: NonNegative = 1e-4
    l2: NonNegative = 1e-6
    """Weight of the images' L2 norm, in the network's units."""

    @matching
    @vectorizable
    def loss(self, variables: Variables, observation: Observation, known: Params) -> Tensor:
        images = variables["images"]
        batch = Batch(observation.model.normalize.invert(images), known["labels"])
        mismatch = squared_distance(trial_update(batch, observation, known), observation.update)
        terms = self.regularizers(variables, observation, known)
        return mismatch + (terms["total_variation"] + terms["l2"])

    def regularizers(
        self, variables: Variables, observation: Observation, known: Params
    ) -> dict[str, Tensor]:
        images = variables["images"]
        length = torch.linalg.vector_norm(images)  # its gradient at zero is zero, where a root has none
        return {
            "total_variation": self.total_variation * total_variation(images),
            "l2": self.l2 * length,
        }
