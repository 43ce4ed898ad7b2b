"""The labels of a batch, repetitions included, from the predictions on noise."""

from torch import Tensor

from harness.base.numbers import Count
from harness.core import LabelInference, Observation, component
from harness.core.counts import whole
from harness.labels.predictions import gaussian_images, statistics
from harness.labels.signal import class_signal


@component
class Geng(LabelInference):
    """Geng et al. 2021, zero-shot label restoration (Zhu et al. 2024, eqs. 6-7): counts = n p - n s / a.

    s are the row sums of the head's weight gradient; the mean prediction p and the mean a of the summed features, which
    the attacker can't see, are those of noise images under the weights that were sent. The sum must be positive.
    """

    dummies: Count = 64
    """Noise images, N(0, 1) in the network's units."""

    def counts(self, observation: Observation) -> Tensor:
        signal = class_signal(observation, weights=True)
        x = gaussian_images(observation, self.dummies)
        prediction, total = statistics(observation, observation.params, x)
        return whole(observation.examples * (prediction - signal / total), observation.examples)
