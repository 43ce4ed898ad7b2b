"""The classes of a batch without repetitions, by the least entry of their gradient."""

import torch
from torch import Tensor

from harness.core import LabelInference, Observation, UserError, component
from harness.labels.signal import weight_gradient


@component
class Yin(LabelInference):
    """Yin et al. 2021 (GradInversion), section 3.2: the n classes with the least entries in the head's weight gradient.

    Assumes distinct labels and a representation that is not negative.
    """

    repeat: bool = False
    """Where there are more images than classes, name the classes again in turn, instead of refusing to answer."""

    def check(self, n: int, examples: int, classes: int) -> None:
        if examples > classes and not self.repeat:
            raise UserError(
                f"labels=yin finds distinct labels: {examples} images of {classes} classes repeat some; "
                "say attack.labels.repeat=true or labels@attack.labels=llg_star"
            )

    def counts(self, observation: Observation) -> Tensor:
        """One for each class found. Raises UserError where there are more images than classes, unless it may repeat."""
        examples, classes = observation.examples, observation.classes
        self.check(observation.n, examples, classes)
        ranked = weight_gradient(observation).amin(1).argsort(stable=True)
        turns = torch.arange(examples, device=ranked.device) % classes
        return torch.bincount(ranked[turns], minlength=classes)
