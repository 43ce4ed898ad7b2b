"""Sparsification: only the largest entries of the update are sent."""

import numpy
import torch
from torch import Tensor

from harness.base.numbers import Percent
from harness.core import Adaptation, Batch, Classifier, Defense, Observation, Params, component


def percentile(values: Tensor, percent: Tensor) -> Tensor:
    """The percentile of a flat tensor by linear interpolation, as numpy's; of any size (torch.quantile is not)."""
    position = percent.double() / 100 * (values.numel() - 1)  # float32 ends at 2^24 places
    low = int(position.floor())
    largest = _largest(values, values.numel() - low)
    ends = torch.topk(largest, min(2, len(largest)), largest=False).values
    below, above = ends[0], ends[-1]
    return below + (above - below) * (position - low).to(values)


def _largest(values: Tensor, count: int) -> Tensor:
    """So many of the largest values, in any order."""
    if values.device.type == "cpu":  # numpy takes a third to a tenth of torch's time
        return torch.from_numpy(numpy.partition(values.numpy(), -count)[-count:])
    return torch.topk(values, count, sorted=False).values  # sorted it takes up to four times as long


def prune(update: Params, percent: Tensor) -> Params:
    """Per tensor, zero the entries whose magnitude is below its percentile; ties survive (GGL's code)."""

    def keep(g: Tensor) -> Tensor:
        magnitude = g.detach().abs().flatten()
        return (magnitude >= percentile(magnitude, percent)).view_as(g)

    return {name: g * keep(g) for name, g in update.items()}


class SparsificationAdaptation(Adaptation):
    """The percentage is the share of zeros in what was received."""

    def estimate(self, observation: Observation) -> Params:
        update = observation.update
        zeros = sum(int((g == 0).sum()) for g in update.values())
        share = 100 * zeros / sum(g.numel() for g in update.values())
        return {"percent": torch.tensor(share, dtype=torch.float64)}

    def apply(self, trial: Params, estimate: Params) -> Params:
        return prune(trial, estimate["percent"])


@component
class Sparsification(Defense):
    """Zero all but the largest entries of every tensor (Li et al. 2022, section 4.1: 90 %)."""

    percent: Percent = 90.0
    """How much of each tensor is zeroed."""

    def on_update(
        self, update: Params, model: Classifier, params: Params, batch: Batch, rng: torch.Generator
    ) -> Params:
        return prune(update, torch.tensor(self.percent, dtype=torch.float64))

    def adaptations(self) -> tuple[Adaptation, ...]:
        return (SparsificationAdaptation(),)
