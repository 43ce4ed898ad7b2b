"""Nevergrad's CMA-ES, the optimiser of GGL's published setting."""

from collections import deque
from typing import Any, ClassVar

import torch
from torch import Tensor

from harness.attacks.solvers.optimizer import Optimizer, State
from harness.attacks.solvers.variables import Layout
from harness.base.numbers import Count, Positive, Processes
from harness.core import component


@component
class NevergradCMA(Optimizer):
    """Hansen 2016 as nevergrad's `ParametrizedCMA` wraps pycma: the first population is drawn around x0.

    It is what nevergrad called `CMA` in GGL's day. Since then `CMA` chooses by the budget that it is told, and would
    start with a standard deviation of 0.4699. It begins again from x0, with a new covariance, whenever pycma's own
    criteria stop it. A loss that is not finite counts as 5e20.

    With `ask_ahead` above 1 it is nevergrad as it was in GGL's day (0.4.3), whose code asks for 50 and then tells 50:
    what CMA-ES refuses, for it has gone on since, is kept and told with the next candidates (today's nevergrad loses
    nearly two thirds of 50), and CMA-ES never begins again.
    """

    uses_gradient: ClassVar[bool] = False
    sigma: Positive = 1.0
    """Standard deviation of the first population."""
    population: Count | None = None
    """Candidates per generation; null: 4 + 3 ln D, as nevergrad."""
    ask_ahead: Processes = 1
    """Candidates that are asked for before the first of them is told: 1 tells each before the next is asked for."""

    def revision(self) -> int:
        """2: what is refused is kept. Nothing is where each candidate is told before the next is asked for."""
        return 2 if self.ask_ahead > 1 else self.version

    def start(self, slots: int, layout: Layout, device: torch.device, dtype: torch.dtype) -> "NevergradState":
        return NevergradState(self, slots)


class NevergradState(State):
    """One nevergrad optimiser per slot, and its candidates: those asked for, and those evaluated with their loss."""

    def __init__(self, rule: NevergradCMA, slots: int) -> None:
        self.rule = rule
        self.optimizers: list[Any] = [None] * slots
        self.asked: list[deque[Any]] = [deque() for _ in range(slots)]
        self.evaluated: list[list[tuple[Any, float]]] = [[] for _ in range(slots)]
        self.left = [0] * slots
        """Evaluations left in the budget of each slot."""

    def reset(self, slot: int, x0: Tensor, steps: int, rng: torch.Generator) -> Tensor:
        self.optimizers[slot] = self._optimizer(x0, rng)
        self.asked[slot].clear()
        self.evaluated[slot].clear()
        self.left[slot] = steps
        return self._ask(slot, x0)

    def step(self, x: Tensor, grad: Tensor | None, loss: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        points = x.clone()
        for slot, (value, on) in enumerate(zip(loss.tolist(), active.tolist(), strict=True)):
            if on and self.left[slot] > 0:
                self.left[slot] -= 1
                self.evaluated[slot].append((self.asked[slot].popleft(), value))
                if self.left[slot] > 0:
                    points[slot] = self._ask(slot, x[slot])
        left = torch.tensor(self.left, device=x.device)
        return points, active & (left == 0)

    def end(self, slot: int, x: Tensor) -> Tensor:
        """nevergrad's own recommendation, which GGL's code returns."""
        self._tell(slot)
        return _tensor(self.optimizers[slot].provide_recommendation(), x)

    def _ask(self, slot: int, like: Tensor) -> Tensor:
        """The next candidate [D]; where none is left, tell what was found and ask for more."""
        optimizer, asked = self.optimizers[slot], self.asked[slot]
        if not asked:
            self._tell(slot)
            asked.extend(optimizer.ask() for _ in range(self.rule.ask_ahead))
        return _tensor(asked[0], like)

    def _tell(self, slot: int) -> None:
        for candidate, loss in self.evaluated[slot]:
            self.optimizers[slot].tell(candidate, loss)
        self.evaluated[slot].clear()

    def _optimizer(self, x0: Tensor, rng: torch.Generator) -> Any:
        import nevergrad
        import numpy

        start = nevergrad.p.Array(init=x0.detach().cpu().double().numpy())
        start.random_state = numpy.random.RandomState(int(torch.randint(2**32, (1,), generator=rng)))
        family = nevergrad.optimizers.ParametrizedCMA(scale=self.rule.sigma, popsize=self.rule.population)
        if self.rule.ask_ahead == 1:
            return family(start)
        from harness.attacks.solvers.keeping import Keeping

        return Keeping(start, config=family)


def _tensor(candidate: Any, like: Tensor) -> Tensor:
    return torch.as_tensor(candidate.value, dtype=like.dtype, device=like.device)
