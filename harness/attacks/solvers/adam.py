"""Adam for many problems at once, with the schedules of the papers."""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import torch
from pydantic import BeforeValidator
from torch import Tensor

from harness.attacks.solvers.optimizer import Optimizer, State, rows
from harness.attacks.solvers.variables import LOGITS, Layout
from harness.base.numbers import NonNegative, Positive, ProperFraction
from harness.core import component

Schedule = Literal["constant", "step", "cosine", "cosine_warmup", "ggl_imagenet", "exponential"]
ONCE = {"dlf": "exponential"}
"""The names that schedules had, which stored configurations say."""
WARMUP = 50
"""Steps over which GradInversion's learning rate rises."""


def _renamed(name: object) -> object:
    return ONCE.get(name, name) if isinstance(name, str) else name


def constant(*_: int) -> float:
    """No decay."""
    return 1.0


def step_decay(step: int, steps: int) -> float:
    """Times 0.1 at 3/8, 5/8 and 7/8 of the budget, with the floors of Geiping's `MultiStepLR`."""
    return math.prod(0.1 for part in (2.667, 1.6, 1.142) if step >= steps // part)


def cosine(step: int, steps: int) -> float:
    """Half a cosine, from 1 to 0 at the end of the budget (Loshchilov and Hutter 2017, eq. 5)."""
    return 0.5 + 0.5 * math.cos(math.pi * step / steps)


def cosine_warmup(step: int, steps: int) -> float:
    """A linear rise over 50 steps, then half a cosine to 0 (Yin et al. 2021; the policy of their code for
    DeepInversion, since GradInversion's is not public)."""
    if step < WARMUP:
        return (step + 1) / WARMUP
    return 0.5 + 0.5 * math.cos(math.pi * (step - WARMUP) / (steps - WARMUP))


def ggl_imagenet(step: int, steps: int) -> float:
    """Up over the first 5 % of the budget, half a cosine down over the last 25 % (GGL's ImageNet code)."""
    done = step / steps
    return (0.5 - 0.5 * math.cos(math.pi * min(1, (1 - done) / 0.25))) * min(1, done / 0.05)


def exponential(step: int, _: int) -> float:
    """0.997^(t / 20) at step t = 0, 1, ..., in no stairs (DLF's code for CIFAR-100)."""
    return float(0.997 ** (step / 20))


SCHEDULES: dict[Schedule, Callable[[int, int], float]] = {
    "constant": constant,
    "step": step_decay,
    "cosine": cosine,
    "cosine_warmup": cosine_warmup,
    "ggl_imagenet": ggl_imagenet,
    "exponential": exponential,
}


@component
class Adam(Optimizer):
    """Kingma and Ba 2015, algorithm 1, step for step as `torch.optim.Adam`."""

    lr: Positive = 0.1
    betas: tuple[ProperFraction, ProperFraction] = (0.9, 0.999)
    eps: Positive = 1e-8
    signed: bool = False
    """Replace the gradient by its sign before the update; not that of label logits (Geiping et al. 2020, code)."""
    schedule: Annotated[Schedule, BeforeValidator(_renamed)] = "constant"
    """What the learning rate is multiplied by at every step: see the functions of these names."""
    noise: NonNegative = 0.0
    """Add this times the learning rate times N(0, 1) after every step (Yin et al. 2021: 0.2)."""

    def numbers(self, size: int) -> int:
        return 2 * size

    def start(self, slots: int, layout: Layout, device: torch.device, dtype: torch.dtype) -> "AdamState":
        return AdamState(self, slots, layout, device, dtype)


class AdamState(State):
    """Moments [S, D] on the device; the count of steps and the generator of each slot on the host."""

    def __init__(
        self, rule: Adam, slots: int, layout: Layout, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.rule = rule
        self.labels = layout.mask(LOGITS).to(device)
        self.mean = torch.zeros(slots, layout.size, device=device, dtype=dtype)
        self.square = torch.zeros_like(self.mean)
        self.steps = [0] * slots
        self.count = [0] * slots
        self.rng: list[torch.Generator | None] = [None] * slots

    def reset(self, slot: int, x0: Tensor, steps: int, rng: torch.Generator) -> Tensor:
        self.mean[slot] = 0
        self.square[slot] = 0
        self.steps[slot], self.count[slot], self.rng[slot] = steps, 0, rng
        return x0

    def step(self, x: Tensor, grad: Tensor | None, loss: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        assert grad is not None
        moves = [
            on and done < of for on, done, of in zip(active.tolist(), self.count, self.steps, strict=True)
        ]
        rates = [self._rate(slot) if move else 0.0 for slot, move in enumerate(moves)]
        self.count = [count + move for count, move in zip(self.count, moves, strict=True)]
        moving = self._column(moves).bool()
        grad = torch.where(self.labels, grad, grad.sign()) if self.rule.signed else grad
        self._remember(grad, moving)
        point = torch.where(moving, x - self._update(rates) + self._noise(rates), x)
        return point, active & ~moving[:, 0]

    def resize(self, kept: list[int], slots: int) -> bool:
        self.mean, self.square = rows(self.mean, kept, slots), rows(self.square, kept, slots)
        empty = slots - len(kept)
        self.steps = [self.steps[slot] for slot in kept] + [0] * empty
        self.count = [self.count[slot] for slot in kept] + [0] * empty
        self.rng = [self.rng[slot] for slot in kept] + [None] * empty
        return True

    def _rate(self, slot: int) -> float:
        """The learning rate of the step that a slot is about to make."""
        return self.rule.lr * SCHEDULES[self.rule.schedule](self.count[slot], self.steps[slot])

    def _remember(self, grad: Tensor, moving: Tensor) -> None:
        first, second = self.rule.betas
        square = (self.square * second).addcmul(grad, grad, value=1 - second)
        self.mean = torch.where(moving, self.mean.lerp(grad, 1 - first), self.mean)
        self.square = torch.where(moving, square, self.square)

    def _update(self, rates: list[float]) -> Tensor:
        """What to subtract [S, D], with the corrections for bias of as many steps as each slot has made."""
        first, second = self.rule.betas
        count = [max(1, count) for count in self.count]
        size = [rate / (1 - first**step) for rate, step in zip(rates, count, strict=True)]
        root = [math.sqrt(1 - second**step) for step in count]
        return self._column(size) * self.mean / (self.square.sqrt() / self._column(root) + self.rule.eps)

    def _noise(self, rates: list[float]) -> Tensor | float:
        """Langevin noise [S, D], drawn for the slots that move only."""
        if not self.rule.noise:
            return 0.0
        noise = torch.zeros(self.mean.shape, dtype=self.mean.dtype)
        for slot, rate in enumerate(rates):
            if rate:
                noise[slot] = torch.randn(noise.shape[1], generator=self.rng[slot], dtype=noise.dtype)
        return self._column(rates) * self.rule.noise * noise.to(self.mean.device)

    def _column(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=self.mean.dtype, device=self.mean.device)[:, None]
