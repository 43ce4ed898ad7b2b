"""RMSprop for many problems at once."""

import torch
from torch import Tensor

from harness.attacks.solvers.optimizer import Optimizer, State, rows
from harness.attacks.solvers.variables import Layout
from harness.base.numbers import Positive, ProperFraction
from harness.core import component


@component
class RMSprop(Optimizer):
    """Tieleman and Hinton 2012 (lecture 6e) with momentum, step for step as `torch.optim.RMSprop`."""

    lr: Positive = 1e-2
    decay: ProperFraction = 0.99
    """Of the mean square of the gradient: torch's alpha."""
    momentum: ProperFraction = 0.0
    eps: Positive = 1e-8

    def numbers(self, size: int) -> int:
        return 2 * size

    def start(self, slots: int, layout: Layout, device: torch.device, dtype: torch.dtype) -> "RMSpropState":
        return RMSpropState(self, slots, layout.size, device, dtype)


class RMSpropState(State):
    """Mean squares and velocities [S, D]; how many steps a slot has left is counted on the host."""

    def __init__(
        self, rule: RMSprop, slots: int, size: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.rule = rule
        self.square = torch.zeros(slots, size, device=device, dtype=dtype)
        self.velocity = torch.zeros_like(self.square)
        self.left = [0] * slots

    def reset(self, slot: int, x0: Tensor, steps: int, rng: torch.Generator) -> Tensor:
        self.square[slot], self.velocity[slot], self.left[slot] = 0, 0, steps
        return x0

    def step(self, x: Tensor, grad: Tensor | None, loss: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        assert grad is not None
        moves = [on and left > 0 for on, left in zip(active.tolist(), self.left, strict=True)]
        self.left = [left - move for left, move in zip(self.left, moves, strict=True)]
        moving = torch.tensor(moves, device=x.device)[:, None]
        decay = self.rule.decay
        square = (self.square * decay).addcmul(grad, grad, value=1 - decay)
        velocity = self.rule.momentum * self.velocity + grad / (square.sqrt() + self.rule.eps)
        self.square = torch.where(moving, square, self.square)
        self.velocity = torch.where(moving, velocity, self.velocity)
        return torch.where(moving, x - self.rule.lr * velocity, x), active & ~moving[:, 0]

    def resize(self, kept: list[int], slots: int) -> bool:
        self.square, self.velocity = (rows(each, kept, slots) for each in (self.square, self.velocity))
        self.left = [self.left[slot] for slot in kept] + [0] * (slots - len(kept))
        return True
