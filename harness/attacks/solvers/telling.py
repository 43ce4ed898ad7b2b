"""Tell whoever listens to a problem how its search goes: how far it is, and what it has found by then."""

import time
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.attacks.solvers.native import NativeResult
from harness.attacks.solvers.objective import Objective
from harness.attacks.solvers.variables import Layout
from harness.core import Batch, Moment, Observation, Params, Watch

SECONDS = 0.25
"""Between two words on how far searches have come."""


class Pulse:
    """When it is time for another word."""

    def __init__(self) -> None:
        self._next = time.perf_counter() + SECONDS

    def due(self) -> bool:
        """Whether it is; then it will not be for a while."""
        now = time.perf_counter()
        if now < self._next:
            return False
        self._next = now + SECONDS
        return True


@dataclass(frozen=True, eq=False)
class Attended:
    """One attempt at a problem, and who hears of it."""

    attack: Objective
    layout: Layout
    observation: Observation
    known: Params
    restart: int
    watch: Watch
    budget: int

    def advance(self, evaluations: int, loss: float) -> None:
        """Say how far it has come."""
        self.watch.advance(self.restart, evaluations / self.budget, loss)

    def tell(self, evaluation: int, loss: float, x: Tensor | None) -> None:
        """Say what was evaluated, at x [size] where that is known."""
        share = evaluation / self.budget
        if x is None:
            self.watch.hear(Moment(self.restart, evaluation, share, loss, dict, None))
            return
        at = self.layout.unflatten(x.detach()), self.observation, self.known

        @torch.no_grad()
        def terms() -> dict[str, float]:
            return {name: float(value) for name, value in self.attack.regularizers(*at).items()}

        @torch.no_grad()
        def batch() -> Batch:
            return self.attack.decode(*at)

        self.watch.hear(Moment(self.restart, evaluation, share, loss, terms, batch))


@dataclass
class Chapters:
    """A search in native code, which gives the word back now and then: the points of its trace, and where it is."""

    attended: Attended
    every: int
    """Evaluations between two points of the trace."""
    pulse: Pulse = field(default_factory=Pulse)
    told: int = 0

    def __call__(self, found: NativeResult) -> None:
        """Tell what is new."""
        if self.attended.watch.listens:
            for place, loss in enumerate(found.trace[self.told :], self.told):
                self.attended.tell(place * self.every, loss, None)
            self.told = len(found.trace)
            self.attended.tell(found.evaluations, found.newest_loss, found.newest)
        if self.pulse.due():
            self.attended.advance(found.evaluations, found.newest_loss)
