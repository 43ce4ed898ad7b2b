"""The classes of a batch, by the sign of their gradient."""

import torch
from torch import Tensor

from harness.core import LabelInference, Observation, component
from harness.labels.signal import class_signal


@component
class Analytic(LabelInference):
    """Zhao et al. 2020 (iDLG), eq. 3, class by class: one with a negative gradient in the head is in the batch.

    Made for distinct labels. Where fewer classes than images are negative, the batch must repeat some: the
    most negative ones are then named again, in turn. Where more are, by noise, the most negative ones count.
    """

    def counts(self, observation: Observation) -> Tensor:
        signal = class_signal(observation)
        present = max(1, int((signal < 0).sum()))
        ranked = signal.argsort(stable=True)[: min(present, observation.examples)]
        turns = torch.arange(observation.examples, device=ranked.device) % len(ranked)
        return torch.bincount(ranked[turns], minlength=observation.classes)
