"""The labels of a batch, repetitions included, from the update alone."""

import torch
from torch import Tensor

from harness.core import LabelInference, Observation, component
from harness.core.counts import by_impact
from harness.labels.signal import class_signal


@component
class LLG(LabelInference):
    """Wainakh et al. 2022 (LLG), algorithm 1 for an attacker with the gradients alone.

    What a label adds to the signal of its class is the sum of the negative signals over the number of labels, times
    1 + 1 / classes; an absent class is said to have no signal.
    """

    weights: bool = False
    """Read the row sums of the head's weight gradient, as the paper does, even where there is a bias."""

    def counts(self, observation: Observation) -> Tensor:
        signal = class_signal(observation, self.weights)
        impact = signal.clamp_max(0).sum() / observation.examples * (1 + 1 / observation.classes)
        return by_impact(signal, float(impact), torch.zeros_like(signal), observation.examples)
