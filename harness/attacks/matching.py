"""The pieces that gradient-matching objectives are made of. All are pure and differentiable."""

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.core import Batch, Observation, Params


def squared_distance(trial: Params, update: Params) -> Tensor:
    """sum over tensors of ||g' - g||^2 (Zhu et al. 2019, eq. 3): of differences, so it is exact near zero."""
    return torch.stack([(trial[name] - g).square().sum() for name, g in update.items()]).sum()


def squared_length(update: Params) -> Tensor:
    """||g||^2, over all tensors."""
    return torch.stack([g.square().sum() for g in update.values()]).sum()


def cosine_distance(trial: Params, update: Params, squared: Tensor | None = None) -> Tensor:
    """1 - <g', g> / (||g'|| ||g||), one inner product over all tensors (Geiping et al. 2020, eq. 4).

    The root is taken of the product of the squared lengths: sqrt(s * s) is s, so g' = g gives exactly zero.
    `squared` is the squared length of the update, where it was worked out before.
    """
    inner = torch.stack([(trial[name] * g).sum() for name, g in update.items()]).sum()
    received = squared_length(update) if squared is None else squared
    return 1 - inner / (squared_length(trial) * received).sqrt()


def total_variation(x: Tensor) -> Tensor:
    """mean |dx| + mean |dy|, each over its own elements: anisotropic, as in Geiping et al.'s code."""
    horizontal = (x[..., :, 1:] - x[..., :, :-1]).abs().mean()
    vertical = (x[..., 1:, :] - x[..., :-1, :]).abs().mean()
    return horizontal + vertical


def estimate_defenses(observation: Observation) -> Params:
    """The parameters of every defence whose kind the attacker knows, under names of their own."""
    return {
        f"defense{position}.{name}": value
        for position, adaptation in enumerate(observation.knowledge.adaptations)
        for name, value in adaptation.estimate(observation).items()
    }


def trial_update(
    batch: Batch, observation: Observation, known: Params, order: Sequence[Tensor] | None = None
) -> Params:
    """The update that the batch would have produced, through the known defences (Li et al. 2022, eq. 7: T(F(z))).

    `order` lists the indices of each local step; None: the client's where it is known, else that of the batch.
    """
    order = observation.knowledge.order if order is None else order
    trial = observation.protocol.update(
        observation.model, observation.params, batch, order, observation.statistics
    )
    return through_defenses(trial, observation, known)


def through_defenses(trial: Params, observation: Observation, known: Params) -> Params:
    """A trial update as the known defences would have sent it."""
    for position, adaptation in enumerate(observation.knowledge.adaptations):
        prefix = f"defense{position}."
        estimate = {name.removeprefix(prefix): v for name, v in known.items() if name.startswith(prefix)}
        trial = adaptation.apply(trial, estimate)
    return trial
