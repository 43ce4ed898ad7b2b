"""One variable first, and then the others."""

from dataclasses import field

import torch
from torch import Tensor

from harness.attacks.solvers.adam import Adam
from harness.attacks.solvers.optimizer import Optimizer, State, rows
from harness.attacks.solvers.variables import LATENT, Layout
from harness.base.numbers import Steps
from harness.core import component


@component
class Phases(Optimizer):
    """Move latent vectors alone for some evaluations, then, from the best of them, all other variables alone.

    The settings are those of Jeon et al. 2021 (GIAS, code) on images of 32 pixels.
    """

    steps: Steps = 500
    """Evaluations of the first phase; a search with no more has no second one."""
    first: Optimizer = field(default_factory=lambda: Adam(lr=3e-2, signed=True, schedule="step"))
    """Of the latent vectors."""
    second: Optimizer = field(default_factory=lambda: Adam(lr=1e-3, signed=True, schedule="step"))
    """Of what else is searched for."""

    def numbers(self, size: int) -> int:
        return size + self.first.numbers(size) + self.second.numbers(size)

    def start(self, slots: int, layout: Layout, device: torch.device, dtype: torch.dtype) -> "PhasesState":
        return PhasesState(self, slots, layout, device, dtype)


class PhasesState(State):
    """The states of both phases, and the best point [S, D] of the first."""

    def __init__(
        self, rule: Phases, slots: int, layout: Layout, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.rule = rule
        self.latent = layout.mask(LATENT).to(device)
        self.states = [each.start(slots, layout, device, dtype) for each in (rule.first, rule.second)]
        self.best = torch.zeros(slots, layout.size, device=device, dtype=dtype)
        self.least = torch.zeros(slots, device=device, dtype=dtype)
        self.count = torch.zeros(slots, dtype=torch.int64, device=device)

    def reset(self, slot: int, x0: Tensor, steps: int, rng: torch.Generator) -> Tensor:
        self.count[slot], self.best[slot], self.least[slot] = 0, x0, torch.inf
        first = min(self.rule.steps, steps)
        self.states[0].reset(slot, x0, first, rng)
        self.states[1].reset(slot, x0, steps - first, rng)
        return x0

    def step(self, x: Tensor, grad: Tensor | None, loss: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        assert grad is not None
        begun = self.count
        self.count = begun + active.long()
        early = begun < self.rule.steps
        better = active & early & (loss < self.least)
        self.best = torch.where(better[:, None], x, self.best)
        self.least = torch.where(better, loss, self.least)
        moved, done = self.states[0].step(x, grad * self.latent, loss, active & early)
        ends = active & (self.count == self.rule.steps) & ~done
        point = torch.where(ends[:, None], self.best, moved)
        later, over = self.states[1].step(point, grad * ~self.latent, loss, active & ~early)
        return later, done | over

    def resize(self, kept: list[int], slots: int) -> bool:
        self.best, self.least, self.count = (
            rows(each, kept, slots) for each in (self.best, self.least, self.count)
        )
        first, second = (state.resize(kept, slots) for state in self.states)
        return first and second
