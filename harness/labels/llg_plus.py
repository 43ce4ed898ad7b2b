"""The labels of a batch, repetitions included, held against updates of public images."""

from typing import ClassVar

import torch
from torch import Tensor

from harness.core import Batch, LabelInference, Observation, component
from harness.core.counts import by_impact
from harness.labels.llg_star import calibrate
from harness.labels.public import public_images
from harness.labels.signal import class_signal


@component
class LLGPlus(LabelInference):
    """Wainakh et al. 2022 (LLG+), algorithm 1 for an attacker with auxiliary data: LLG* on public images."""

    requires_public: ClassVar[bool] = True
    weights: bool = False
    """Read the row sums of the head's weight gradient, as the paper does, even where there is a bias."""

    def counts(self, observation: Observation) -> Tensor:
        images = public_images(observation, "llg_plus", observation.examples)
        batches = [Batch(x, torch.full((len(x),), label, device=x.device)) for label, x in enumerate(images)]
        impact, offset = calibrate(observation, batches, self.weights)
        return by_impact(class_signal(observation, self.weights), impact, offset, observation.examples)
