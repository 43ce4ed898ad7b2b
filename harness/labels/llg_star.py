"""The labels of a batch, repetitions included, held against updates of noise."""

from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor

from harness.base.numbers import Count
from harness.core import Batch, LabelInference, Observation, component, generator
from harness.core.counts import by_impact
from harness.labels.signal import class_signal


def calibrate(observation: Observation, batches: list[Batch], weights: bool) -> tuple[float, Tensor]:
    """What one label adds to the signal of its class (negative), and the signal of an absent class [classes].

    Each batch is of one class and as large as the client's. The client's own protocol is run on it, so that both
    results have the scale of the received update.
    """
    signals = torch.stack([_signal(observation, batch, weights) for batch in batches])
    shown = torch.stack([batch.y[0] for batch in batches])
    own = torch.arange(observation.classes, device=signals.device) == shown[:, None]
    absent = (~own).sum(0).clamp_min(1)  # with one batch alone, its own class has no other to be absent from
    offset = signals.masked_fill(own, 0).sum(0) / absent
    return float((signals - offset)[own].mean()) / observation.examples, offset


def _signal(observation: Observation, batch: Batch, weights: bool) -> Tensor:
    update = observation.protocol.update(observation.model, observation.params, batch)
    return class_signal(replace(observation, update=update), weights)


@component
class LLGStar(LabelInference):
    """Wainakh et al. 2022 (LLG*), algorithm 1 for an attacker with the model.

    What a label adds to the signal of its class, and the signal of an absent class, come from updates of noise images
    of one class each. The paper's factor 1 + 1 / classes stands for the offset of a class in its own batch, here taken
    off exactly. On the bias of the head the counts are exact but for the spread of the predictions between images.
    """

    passes: Count = Field(default=10, ge=2)
    """Dummy updates, each of as many uniform noise images of one class as the client has."""
    weights: bool = False
    """Read the row sums of the head's weight gradient, as the paper does, even where there is a bias."""

    def counts(self, observation: Observation) -> Tensor:
        impact, offset = calibrate(observation, self._noise(observation), self.weights)
        return by_impact(class_signal(observation, self.weights), impact, offset, observation.examples)

    def _noise(self, observation: Observation) -> list[Batch]:
        rng = generator("labels", "llg")
        shown = torch.randperm(observation.classes, generator=rng)
        shown = shown[torch.arange(self.passes) % observation.classes]
        return [self._batch(observation, int(label), rng) for label in shown]

    def _batch(self, observation: Observation, label: int, rng: torch.Generator) -> Batch:
        x = torch.rand(observation.examples, *observation.shape, generator=rng)
        x = x.to(next(iter(observation.params.values())))
        return Batch(x, torch.full((observation.examples,), label, device=x.device))
