"""DP-SGD: every image's gradient is clipped, and what is summed up gets noise, in each local step."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from harness.base.numbers import Count, NonNegative, Positive
from harness.base.privacy import Release, Sampling
from harness.core import Adaptation, Batch, Defense, Gradient, Params, component
from harness.defenses.clipping import ClippingAdaptation


@component
class DPSGD(Defense):
    """Differentially private SGD (Abadi et al. 2016, algorithm 1): the mean of clipped gradients, and noise on it.

    g = (sum_i g_i / max(1, ||g_i|| / C) + N(0, noise^2 C^2)) / n over the n images of a step, ||g_i|| of all tensors.
    C and noise are those of the paper's figure 3 (b). Batches are shuffled, not drawn anew as the paper's are, so that
    an image is in one step of each epoch: epsilon is that of so many Gaussian mechanisms as there are epochs
    (harness/base/privacy.py).

    An attacker who knows the kind clips its trial to the norm that came, as under `clipping`: exact for one image
    without noise. It does not clip each image of its trial.
    """

    bound: Positive = 4.0
    """C."""
    noise: NonNegative = 4.0
    """The noise multiplier: standard deviation of the noise on the sum, as a multiple of C."""
    chunk: Count = 32
    """Images whose gradients are held at once: memory only."""
    sampling: Sampling = "shuffled"
    """By what epsilon is worked out: as batches are drawn, or as if each were drawn anew, which most code reports."""
    execution: ClassVar[frozenset[str]] = frozenset({"sampling"})

    @classmethod
    def release(cls, settings: Mapping[str, Any]) -> Release:
        return Release("step", 1.0, settings["noise"], settings.get("sampling", "shuffled"))

    def on_gradient(self, gradient: Gradient, rng: torch.Generator) -> Gradient:
        def private(model: nn.Module, params: Params, batch: Batch) -> Params:
            total = self._clipped_sum(gradient, model, params, batch)
            return {name: (g + self._noise(g, rng)) / len(batch) for name, g in total.items()}

        return private

    def adaptations(self) -> tuple[Adaptation, ...]:
        return (ClippingAdaptation("global"),)

    def _clipped_sum(self, gradient: Gradient, model: nn.Module, params: Params, batch: Batch) -> Params:
        def clipped(x: Tensor, y: Tensor) -> Params:
            own = gradient(model, params, Batch(x[None], y[None]))
            norm = torch.sqrt(sum((g.square().sum() for g in own.values()), start=x.new_zeros(())))
            return {name: g / torch.clamp(norm / self.bound, min=1.0) for name, g in own.items()}

        total = {name: torch.zeros_like(value) for name, value in params.items()}
        for part in torch.arange(len(batch)).split(self.chunk):
            each = torch.func.vmap(clipped)(batch.x[part], batch.y[part])
            total = {name: total[name] + each[name].sum(0) for name in total}
        return total

    def _noise(self, like: Tensor, rng: torch.Generator) -> Tensor:
        drawn = torch.randn(like.shape, generator=rng, dtype=like.dtype)
        return self.noise * self.bound * drawn.to(like.device)
