"""Inputs of a dense layer as sharp as the rounding of each number that was sent allows."""

import torch
from torch import Tensor

from harness.audit.dense import Dense

Pair = tuple[Tensor, Tensor]
STEPS = 40
"""Of conjugate gradients: further ones change nothing that the rounding lets be told."""


def sharpened(dense: Dense, inputs: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
    """Inputs [k, inputs] and gradients [k, units] that fit a layer's slopes best, from inputs that fit them well.

    One step of Gauss and Newton on their product, each number weighing by its own rounding: a weight near zero is sent
    far more finely than a large one. Gradients that are not `free` [k, units] are zero, for their units are off.
    """
    assert dense.roundings is not None
    weights = dense.roundings.square().reciprocal()
    weights = weights / weights.mean()
    x = torch.cat([inputs, torch.ones_like(inputs[:, :1])], 1)
    of_units = _inverses(x, weights, free.T)
    s = _times(of_units, torch.where(free, x @ (weights * dense.together).T, 0.0))
    of_pixels = _inverses(s, weights.T, torch.ones_like(x, dtype=torch.bool).T)

    def gradients(misfit: Tensor) -> Pair:
        """Of the weighted squared misfit [units, inputs + 1], in the slopes and in the inputs; the last stays one."""
        weighted = weights * misfit
        in_inputs = s @ weighted
        in_inputs[:, -1] = 0
        return torch.where(free, x @ weighted.T, 0.0), in_inputs

    left = gradients(dense.together - s.T @ x)
    found = direction = (torch.zeros_like(s), torch.zeros_like(x))
    length = 1.0
    for _ in range(STEPS):
        ahead = _times(of_units, left[0]), _times(of_pixels, left[1])
        before, length = length, _dot(ahead, left)
        direction = _plus(ahead, length / before, direction)
        back = gradients(direction[0].T @ x + s.T @ direction[1])
        pace = length / _dot(direction, back)
        found, left = _plus(found, pace, direction), _plus(left, -pace, back)
    return (x + found[1])[:, :-1], s + found[0]


def _inverses(known: Tensor, weights: Tensor, free: Tensor) -> Tensor:
    """[rows, k, k]: of the normal equations of each row, weighted [rows, m], for its free parts in `known` [k, m]."""
    systems = torch.stack([(known * weight) @ known.T for weight in weights])
    both = free[:, :, None] & free[:, None, :]
    found: Tensor = torch.linalg.inv(torch.where(both, systems, torch.eye(len(known), dtype=known.dtype)))
    return found


def _times(inverses: Tensor, parts: Tensor) -> Tensor:
    return (inverses @ parts.T[:, :, None])[:, :, 0].T


def _dot(one: Pair, other: Pair) -> float:
    return float((one[0] * other[0]).sum() + (one[1] * other[1]).sum())


def _plus(one: Pair, factor: float, other: Pair) -> Pair:
    return one[0] + factor * other[0], one[1] + factor * other[1]
