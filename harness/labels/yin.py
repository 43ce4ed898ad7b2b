"""The classes of a batch without repetitions, by the least entry of their gradient."""

from torch import Tensor

from harness.core import LabelInference, Observation, UserError, component
from harness.labels.signal import head_gradient


@component
class Yin(LabelInference):
    """Yin et al. 2021 (GradInversion): the n classes with the least entries in the head's weight gradient.

    Assumes distinct labels and a representation that is not negative.
    """

    def labels(self, observation: Observation) -> Tensor:
        """Distinct labels [n]. Raises UserError where there are more images than classes."""
        if observation.n > observation.classes:
            raise UserError(
                f"labels=yin finds distinct labels: {observation.n} images of {observation.classes} "
                "classes repeat some; say labels@attack.labels=llg"
            )
        least = head_gradient(observation).amin(1)
        return least.argsort(stable=True)[: observation.n].sort().values
