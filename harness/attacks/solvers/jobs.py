"""The searches that an engine is to carry out, those that wait and those under way."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from harness.attacks.solvers.telling import Attended
from harness.core import SILENT, Observation, Params, Watch

EXPLODED = 1e3
"""A loss this many times as large as the first one, for EXPLODED_STEPS steps on end, counts as diverged."""
EXPLODED_STEPS = 20


@dataclass(frozen=True, eq=False)
class Job:
    """One search: who asked, what was observed, and the only source of randomness."""

    key: Any
    observation: Observation
    rng: torch.Generator
    alone: bool = False
    """Whether it is no part of a run, whose bits must not depend on how many it has."""
    watch: Watch = SILENT
    restart: int = 0
    one_network: bool = False
    """Whether all searches go through one network at the same weights."""


class Queue:
    """The jobs that are still to come."""

    def __init__(self, jobs: Iterator[Job | None]) -> None:
        self.jobs = jobs
        self.exhausted = False

    def next(self) -> Job | None:
        """The next job; None: there are no more, or none is ready."""
        try:
            return next(self.jobs)
        except StopIteration:
            self.exhausted = True
            return None

    def check(self) -> None:
        """Nothing is running. Raises RuntimeError where the queue waits for a result all the same."""
        if not self.exhausted:
            raise RuntimeError("the queue waits for a result, and nothing is running")


@dataclass
class Search:
    """How the job in one slot is going."""

    job: Job
    known: Params
    attended: Attended
    first_loss: float = math.nan
    evaluations: int = 0
    exploded: int = 0
    mark: float = math.inf
    """The last loss that was lower than the mark before it by the share that counts."""
    marked: int = 0
    """At which evaluation."""
    trace: list[dict[str, float]] = field(default_factory=list)

    def record(self, loss: float, every: int, improvement: float) -> bool:
        """Take note of one evaluation; `improvement` is the share by which a loss must fall to count as lower.

        Returns whether it is a point of the trace."""
        if self.evaluations == 0:
            self.first_loss = loss
        traced = self.evaluations % every == 0
        if traced:
            self.trace.append({"evaluation": self.evaluations, "loss": loss})
        self.evaluations += 1
        if self.mark == math.inf or loss < self.mark - improvement * abs(self.mark):
            self.mark, self.marked = loss, self.evaluations
        self.exploded = self.exploded + 1 if loss > EXPLODED * abs(self.first_loss) else 0
        return traced

    def tell(self, loss: float, x: Tensor) -> None:
        """Have whoever listens hear of the newest evaluation, at x [size]."""
        if self.job.watch.listens:
            self.attended.tell(self.evaluations - 1, loss, x)
