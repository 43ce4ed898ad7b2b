"""The classes of a batch without repetitions, by the least entry of their gradient."""

import torch
from torch import Tensor

from harness.core import LabelInference, Observation, UserError, component
from harness.labels.signal import head_gradient


@component
class Yin(LabelInference):
    """Yin et al. 2021 (GradInversion): the n classes with the least entries in the head's weight gradient.

    Assumes distinct labels and a representation that is not negative.
    """

    def counts(self, observation: Observation) -> Tensor:
        """One for each of the classes found. Raises UserError where there are more images than classes."""
        examples, classes = observation.examples, observation.classes
        if examples > classes:
            raise UserError(
                f"labels=yin finds distinct labels: {examples} images of {classes} "
                "classes repeat some; say labels@attack.labels=llg"
            )
        least = head_gradient(observation).amin(1)
        return torch.bincount(least.argsort(stable=True)[:examples], minlength=classes)
