"""Soteria: hide the representation that the defended layer receives."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from harness.base.numbers import Count, NonNegative, Percent
from harness.core import Adaptation, Batch, Classifier, Defense, Observation, Params, component
from harness.defenses.sparsification import percentile
from harness.models.head import head_input, head_parameters


def sensitivity(model: Classifier, params: Params, x: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    """Representation r [n, d] of the head's input and ||d r_i / d x|| [n, d], by one backward pass a feature."""

    def represent(images: Tensor) -> Tensor:
        return head_input(model, params, images)

    representation: Tensor
    representation, backward = torch.func.vjp(represent, x)  # type: ignore[misc]

    def norm(feature: Tensor) -> Tensor:
        (gradient,) = backward(feature.expand_as(representation))
        length: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
        return length

    features = torch.eye(representation.shape[1], dtype=x.dtype, device=x.device)
    norms: Tensor = torch.func.vmap(norm, chunk_size=chunk)(features)
    return representation, norms.T


@dataclass(frozen=True)
class SoteriaAdaptation(Adaptation):
    """The mask is read off the head's gradient: a pruned feature's column is zero."""

    vectorizable: ClassVar[bool] = True

    def estimate(self, observation: Observation) -> Params:
        weight, _ = head_parameters(observation.model)
        return {weight: (observation.update[weight] != 0).any(dim=0).to(observation.update[weight].dtype)}

    def apply(self, trial: Params, estimate: Params) -> Params:
        return {name: g * estimate[name] if name in estimate else g for name, g in trial.items()}


@component
class Soteria(Defense):
    """Zero the columns of the head's weight gradient whose features move the input most (Sun et al. 2021).

    As the authors' and GGL's code: the columns with the smallest ||d r_i / d x|| / (|r_i| + epsilon) below the
    percentile; nothing else of the update changes. With GGL's epsilon a dead feature (r_i = 0 and no gradient) scores
    0, so it is pruned first. For several images the scores add up.
    """

    percent: Percent = 80.0
    epsilon: NonNegative = 1e-10
    """1e-10: GGL's code; 0.1: Soteria's code against IG; 0 is not defined for dead features."""
    chunk: Count = 32
    """Backward passes at once: memory only."""

    def on_update(
        self, update: Params, model: Classifier, params: Params, batch: Batch, rng: torch.Generator
    ) -> Params:
        weight, _ = head_parameters(model)
        representation, norms = sensitivity(model, params, batch.x, self.chunk)
        score = (norms / (representation.abs() + self.epsilon)).sum(dim=0)
        kept = score >= percentile(score, torch.tensor(self.percent, dtype=torch.float64))
        return {
            name: g * kept.view(g.shape[1:]) if name == weight else g.clone() for name, g in update.items()
        }

    def adaptations(self) -> tuple[Adaptation, ...]:
        return (SoteriaAdaptation(),)
