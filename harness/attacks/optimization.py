"""The base of every attack that searches for images whose update matches the one received."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from harness.attacks.matching import estimate_defenses
from harness.attacks.solvers.engine import Engine
from harness.attacks.solvers.jobs import Job
from harness.attacks.solvers.objective import EngineName
from harness.attacks.solvers.optimizer import Optimizer
from harness.attacks.solvers.variables import Variables
from harness.base.numbers import Count, Positive, ProperFraction, Steps
from harness.core import Attack, Attempt, Batch, Observation, Params, Reconstruction, Unreadable, component


@component
class OptimizationAttack(Attack, ABC):
    """Minimise a loss over variables. A new attack writes `initial`, `loss` and `decode`.

    `prepare` works out once per problem what the loss needs beside the observation, as tensors: inferred labels,
    the parameters of a known defence. `loss` and `project` are pure, so that many problems can share one call; mark a
    `loss` whose course doesn't depend on the values of tensors as `@vectorizable`, and small problems run side by side.
    """

    searches: ClassVar[bool] = True
    steps: Steps = dataclasses.field(metadata={"absence": 1})
    """Outer iterations of one attempt."""
    optimizer: Optimizer
    tolerance: Positive | None = None
    """Stop, with status converged, at a loss below this."""
    patience: Steps | None = None
    """Stop, with status stalled, when the best loss has not fallen by the share `improvement` over so many steps. Null:
    never, for a paper's budget is to be spent."""
    improvement: ProperFraction = 0.01
    engine: EngineName = "auto"
    """How the problems are evaluated: one after the other (loop), side by side by vmap, eagerly or compiled, or by hand
    for the sigmoid LeNet: side by side in torch (lowrank), or one whole search after the other in C (native). Both
    evaluate residual networks too: on a CPU auto takes lowrank there for searches by Adam and native for those by
    L-BFGS, the rest is to be asked for. They differ in speed and rounding only. vmap takes the loop where there is one
    slot, which is what it is faster for; problems with networks of their own are none the faster for lowrank on
    residual networks, which goes through shared weights once for all, and auto takes the loop for them."""
    slots: Count | None = None
    """How many problems are searched side by side; null: as many as the engine does best with."""
    execution: ClassVar[frozenset[str]] = frozenset({"engine", "slots"})

    @property
    def projects(self) -> bool:
        """Whether `project` may move variables."""
        return type(self).project is not OptimizationAttack.project

    def run(self, attempts: Iterator[Attempt | None]) -> Iterator[tuple[Attempt, Reconstruction]]:
        return Engine(self).run(None if each is None else self._job(each) for each in attempts)

    def _job(self, attempt: Attempt) -> Job:
        problem = attempt.problem
        return Job(
            attempt,
            problem.observation,
            attempt.generator(),
            watch=problem.watch,
            restart=attempt.restart,
            one_network=problem.one_network,
        )

    def reconstruct(self, observation: Observation, rng: torch.Generator) -> Reconstruction:
        (_, found), *_ = Engine(self).run(iter([Job(None, observation, rng, alone=True)]))
        return found

    def prepare(self, observation: Observation) -> Params:
        """What the loss needs beside the observation, worked out once per problem: by default known defences.

        Raises Unreadable for an update that is not finite, which nothing matches.
        """
        if not all(bool(torch.isfinite(value).all()) for value in observation.update.values()):
            raise Unreadable("an update is not finite: there is nothing to match")
        return estimate_defenses(observation)

    @abstractmethod
    def initial(self, observation: Observation, rng: torch.Generator) -> Variables:
        """The variables to start from."""

    @abstractmethod
    def loss(self, variables: Variables, observation: Observation, known: Params) -> Tensor:
        """The scalar to minimise."""

    def regularizers(
        self, variables: Variables, observation: Observation, known: Params
    ) -> dict[str, Tensor]:
        """What the loss has beside the mismatch of updates, by name, with its weight: told while a search lasts."""
        return {}

    def project(self, variables: Variables, observation: Observation) -> Variables:
        """The variables moved back into their range after a step; they may have a leading axis of problems."""
        return variables

    def score(self, variables: Variables, observation: Observation, known: Params, loss: float) -> float:
        """What chooses among restarts: the loss, unless the paper says otherwise."""
        return loss

    @abstractmethod
    def decode(self, variables: Variables, observation: Observation, known: Params) -> Batch:
        """Images in [0, 1] and labels [n]."""
