"""Guesses that read nothing off the update: what a rule must be better than."""

import torch
from torch import Tensor

from harness.core import LabelInference, Observation, component, generator
from harness.core.counts import apportion
from harness.labels.signal import weight_gradient


@component
class Chance(LabelInference):
    """Labels drawn at random, each class as likely as the others; the update is only what seeds the draw."""

    def counts(self, observation: Observation) -> Tensor:
        seed = weight_gradient(observation).cpu().numpy().tobytes().hex()
        drawn = torch.randint(
            observation.classes, (observation.examples,), generator=generator("labels", "chance", seed)
        )
        return torch.bincount(drawn, minlength=observation.classes)


@component
class Balanced(LabelInference):
    """As many labels of each class: the best guess about a client whose data are drawn evenly."""

    def counts(self, observation: Observation) -> Tensor:
        return apportion(torch.ones(observation.classes), observation.examples)
