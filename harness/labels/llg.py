"""The labels of a batch, repetitions included."""

import torch
from pydantic import Field
from torch import Tensor

from harness.core import Batch, LabelInference, Observation, component, generator
from harness.labels.signal import class_signal


@component
class LLG(LabelInference):
    """Wainakh et al. 2022 (LLG*): count labels by what one label contributes to the gradient of its class.

    The attacker runs the client's protocol on noise images of one class at a time. The absent classes show
    their offset, the one that is there shows the impact of each of its labels; both have the scale of the
    protocol, and the counts behind the received update follow. On the bias of the head these are exact but
    for the spread of the predictions between images.
    """

    passes: int = Field(default=10, ge=2)
    """Dummy updates, each of n images of one class."""

    def counts(self, observation: Observation) -> Tensor:
        offset, impact = self._calibrate(observation)
        left = (class_signal(observation.model, observation.update) - offset) / impact
        found = torch.zeros(observation.classes, dtype=torch.int64, device=left.device)
        for _ in range(observation.examples):
            largest = left.argmax()
            found[largest] += 1
            left[largest] -= 1
        return found

    def _calibrate(self, observation: Observation) -> tuple[Tensor, Tensor]:
        """The signal of an absent class [classes], and what one label adds to that of its own (negative)."""
        rng = generator("labels", "llg")
        classes = observation.classes
        shown = torch.randperm(classes, generator=rng)[torch.arange(self.passes) % classes]
        signals = torch.stack([self._dummy_signal(observation, int(c), rng) for c in shown])
        own = (torch.arange(classes) == shown[:, None]).to(signals.device)
        offset = signals.masked_fill(own, 0).sum(0) / (~own).sum(0)
        return offset, (signals - offset)[own].mean() / observation.examples

    def _dummy_signal(self, observation: Observation, label: int, rng: torch.Generator) -> Tensor:
        """The signal of uniform noise images of one class, as many as the client has."""
        x = torch.rand(observation.examples, *observation.shape, generator=rng)
        x = x.to(next(iter(observation.params.values())))
        batch = Batch(x, torch.full((observation.examples,), label, device=x.device))
        update = observation.protocol.update(observation.model, observation.params, batch)
        return class_signal(observation.model, update)
