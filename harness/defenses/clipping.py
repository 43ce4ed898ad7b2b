"""Clipping of the update's norm."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from harness.base.numbers import Positive
from harness.base.privacy import Release
from harness.core import Adaptation, Batch, Classifier, Defense, Observation, Params, component

Scope = Literal["global", "layer"]


def norms(update: Params, scope: Scope) -> dict[str, Tensor]:
    """The norm that each tensor is clipped by: its own, or that of the whole update."""
    own = {name: torch.linalg.vector_norm(g) for name, g in update.items()}
    whole = torch.linalg.vector_norm(torch.stack(list(own.values())))
    return own if scope == "layer" else dict.fromkeys(update, whole)


def clip(update: Params, bounds: dict[str, Tensor], scope: Scope) -> Params:
    """g * min(1, S / (||g|| + 1e-6)) (GGL's code; Li et al. 2022, section 4.1)."""
    length = norms(update, scope)
    return {
        name: g * torch.clamp(bounds[name] / (length[name] + 1e-6), max=1.0) for name, g in update.items()
    }


@dataclass(frozen=True)
class ClippingAdaptation(Adaptation):
    """The bound is the norm of what was received: exact when the clip was active and nothing was added after it.

    Under later noise it is the norm of the noisy update, which is no bound for a trial at all.
    """

    vectorizable: ClassVar[bool] = True
    scope: Scope

    def estimate(self, observation: Observation) -> Params:
        return norms(observation.update, self.scope)

    def apply(self, trial: Params, estimate: Params) -> Params:
        return clip(trial, estimate, self.scope)


@component
class Clipping(Defense):
    """Scale the update down to norm `bound` where it is longer (Li et al. 2022, section 4.1)."""

    bound: Positive = 4.0
    scope: Scope = "global"
    """The norm of all tensors together (GGL's code), or of each tensor for itself (the paper's text)."""

    @classmethod
    def release(cls, settings: Mapping[str, Any]) -> Release | None:
        """Bounds for each tensor are left out: of how many tensors, the settings don't say."""
        return Release("update", settings["bound"]) if settings["scope"] == "global" else None

    def on_update(
        self, update: Params, model: Classifier, params: Params, batch: Batch, rng: torch.Generator
    ) -> Params:
        return clip(update, {name: g.new_tensor(self.bound) for name, g in update.items()}, self.scope)

    def adaptations(self) -> tuple[Adaptation, ...]:
        return (ClippingAdaptation(self.scope),)
