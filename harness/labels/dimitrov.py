"""The labels behind local training, from predictions that are interpolated over its steps."""

import torch
from torch import Tensor

from harness.base.numbers import Count
from harness.core import LabelInference, Observation, component
from harness.core.counts import whole
from harness.federated.scaling import local_steps, trained_params
from harness.labels.predictions import gaussian_images, statistics
from harness.labels.signal import class_signal


@component
class Dimitrov(LabelInference):
    """Dimitrov et al. 2022 (DLF; Zhu et al. 2024, eqs. 8-9): Geng's counts at every local step, averaged.

    What a step's weights make of the dummies is interpolated linearly between the weights that were sent and those
    that came back. Zhu et al. 2024 print that backwards (eq. 8) and divide the sum by the epochs (eq. 9): here step u
    of U starts at u / U of the way, has the mean of the steps' gradients, and the counts are the mean over the steps.
    """

    dummies: Count = 64
    """Noise images, N(0, 1) in the network's units."""

    def counts(self, observation: Observation) -> Tensor:
        signal = class_signal(observation, weights=True)
        x = gaussian_images(observation, self.dummies)
        (first, first_total), (last, last_total) = (
            statistics(observation, params, x) for params in (observation.params, trained_params(observation))
        )
        steps = local_steps(observation)
        way = (torch.arange(steps, device=x.device, dtype=first.dtype) / steps)[:, None]
        prediction, total = torch.lerp(first, last, way), torch.lerp(first_total, last_total, way)
        estimates = observation.examples * (prediction - signal / total)
        return whole(estimates.mean(0), observation.examples)
