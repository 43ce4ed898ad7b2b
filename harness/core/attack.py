"""Attacks: from observations to reconstructions."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import ClassVar, TypeVar, final

import torch
from torch import Tensor, nn

from harness.base.component import Component, component
from harness.base.errors import Unreadable
from harness.base.numbers import Restarts, Steps
from harness.base.threat import Need
from harness.core.adversary import Adversary
from harness.core.model import Model
from harness.core.observation import Observation
from harness.core.seeds import generator
from harness.core.types import Status
from harness.core.watch import SILENT, Watch


@dataclass(frozen=True, eq=False)
class Problem:
    """One observation to invert; `id` is its position among the targets of a run, `watch` hears how it goes.

    `one_network`: all targets of the run are updates of one network at the same weights.
    """

    id: int
    observation: Observation
    seed: int
    watch: Watch = SILENT
    one_network: bool = False


@dataclass(frozen=True, eq=False)
class Attempt:
    """One restart of one problem, with a random generator of its own: results depend on nothing else."""

    problem: Problem
    restart: int

    def generator(self) -> torch.Generator:
        return generator("attack", self.problem.seed, self.restart)


@dataclass(frozen=True, eq=False)
class Iterate:
    """A point of a search: x [n, c, h, w] in [0, 1] and y [n], with the attacker's loss and score there."""

    x: Tensor
    y: Tensor
    loss: float
    score: float
    unclamped: Tensor | None = None
    """x as the search left it, which may be far out of range."""
    latent: Tensor | None = None
    """The latent vectors [n, k] behind x, where a generator's were searched for."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What an attack returns: x [n, c, h, w] in [0, 1], y [n] and how it got there.

    An attack that infers labels alone returns no images, x [0, c, h, w], and a label for every example of the client.

    `score` chooses among restarts (lower is better): the attacker's own objective, never a true metric.
    `unclamped` is x as the search left it, which may be far out of range; `latent` are the latent vectors [n, k] behind
    it, where a generator's were searched for.
    `last` is where the search ended, of the restart with the lowest score there, where that is not this best iterate;
    None too of an attack that has one iterate only.
    """

    x: Tensor
    y: Tensor
    loss: float
    score: float
    status: Status
    iterations: int
    evaluations: int
    trace: list[dict[str, float]] = field(default_factory=list)
    problem: int = -1
    seconds: float = 0.0
    unclamped: Tensor | None = None
    last: Iterate | None = None
    latent: Tensor | None = None

    @property
    def end(self) -> Iterate:
        """Where the search ended: `last`, or where there is none the one iterate."""
        return self.last or Iterate(self.x, self.y, self.loss, self.score, self.unclamped, self.latent)

    @classmethod
    def of_nothing(cls, observation: Observation, images: bool = True) -> "Reconstruction":
        """What stands for an attack that the update gave nothing to work on: grey images that are never scored.

        Without `images`, only as many labels that name no class.
        """
        return cls(
            x=torch.full((observation.n if images else 0, *observation.shape), 0.5),
            y=torch.full((observation.n if images else observation.examples,), -1),
            loss=math.nan,
            score=math.inf,
            status="failed",
            iterations=0,
            evaluations=0,
        )


@component
class Attack(Component, ABC):
    """A gradient-inversion attack. A new one writes `reconstruct`, or builds on `solvers.OptimizationAttack`."""

    needs: ClassVar[frozenset[Need]] = frozenset({Need.BASICS})
    requires_prior: ClassVar[bool] = False
    """Whether the attack can't run without a generative prior."""
    attacks: ClassVar[bool] = True
    """False: nobody attacks, and a row is about the model alone."""
    reconstructs_images: ClassVar[bool] = True
    """False: the attack infers labels alone, and what is scored is how many of each class there are."""
    searches: ClassVar[bool] = False
    """Whether there is a last iterate beside the best one: both are scored then."""
    learns: ClassVar[bool] = False
    """Whether the attack trains something on public images before it attacks: `learn`."""
    accepts_start: ClassVar[bool] = False
    """Whether the attack begins at `Knowledge.start` where there is one."""
    accepts_embeddings: ClassVar[bool] = False
    """Whether the attack makes use of `Knowledge.embeddings`."""
    steps: Steps = 1
    """Outer iterations of one attempt."""
    restarts: Restarts = 1
    """Attempts per problem; the one with the lowest score is reported."""

    @property
    def evaluations_per_step(self) -> int:
        """How many evaluations of the loss the papers count as one step."""
        return 1

    @property
    def evaluations(self) -> int:
        """The most evaluations for one image, over all steps of all attempts."""
        return self.steps * self.restarts * self.evaluations_per_step

    @property
    def insider(self) -> Adversary | None:
        """The client that attacks from inside federated rounds; None: the server attacks what clients send."""
        return None

    @property
    def either_sign(self) -> bool:
        """Whether an image may be the negative, 1 - x, of what it stands for: scoring takes that which is nearer."""
        return False

    def check(self, model: Model) -> None:
        """Refuse a network that the attack can't work on. Raises UserError."""
        return

    def learn(self, observation: Observation, cache: str, source: Mapping[str, object]) -> nn.Module | None:
        """What the attacker trains on the public images that it was given, before it attacks: by default nothing.

        It knows all of an observation but the update, and keeps what it has learnt in the cache, as priors are kept;
        `source` identifies the public images there. Raises UserError where there is nothing to learn from.
        """
        return None

    @final
    def __call__(self, problems: Iterable[Problem | None]) -> Iterator[Reconstruction]:
        """Invert every problem, yielding each reconstruction as it finishes, in any order.

        None among the problems means that the next one depends on a result that is still to come: it is asked for
        again when something has finished. Raises RuntimeError where nothing is running that could finish.
        """
        started: dict[int, float] = {}
        found: dict[int, list[Reconstruction]] = {}

        def attempts() -> Iterator[Attempt | None]:
            for problem in problems:
                if problem is None:
                    yield None
                    continue
                started[problem.id] = perf_counter()
                found[problem.id] = []
                yield from (Attempt(problem, restart) for restart in range(self.restarts))

        for attempt, candidate in self.run(attempts()):
            identity = attempt.problem.id
            found[identity].append(candidate)
            if len(found[identity]) == self.restarts:
                seconds = perf_counter() - started.pop(identity)
                yield self._checked(_best(found.pop(identity)), attempt.problem, seconds)

    def run(self, attempts: Iterator[Attempt | None]) -> Iterator[tuple[Attempt, Reconstruction]]:
        """Carry out attempts, in any order and as many at once as is fastest; None: nothing is ready now."""
        for attempt in attempts:
            if attempt is None:
                raise RuntimeError("the queue waits for a result, and nothing is running")
            observation = attempt.problem.observation
            try:
                yield attempt, self.reconstruct(observation, attempt.generator())
            except Unreadable:
                yield attempt, Reconstruction.of_nothing(observation, self.reconstructs_images)

    @abstractmethod
    def reconstruct(self, observation: Observation, rng: torch.Generator) -> Reconstruction:
        """One attempt at one problem. Raises Unreadable where the update says nothing to the attack."""

    def _checked(self, found: Reconstruction, problem: Problem, seconds: float) -> Reconstruction:
        """Hold every attack to the same contract: shape, range and finiteness of what it returns."""
        observation, sought = problem.observation, self.reconstructs_images
        expected = (observation.n if sought else 0, *observation.shape)
        labels = observation.n if sought else observation.examples
        for each in (found.end, found):
            if tuple(each.x.shape) != expected or len(each.y) != labels:
                raise RuntimeError(
                    f"an attack returned x {tuple(each.x.shape)}, y {len(each.y)}; expected {expected}, {labels}"
                )
        broken = not bool(torch.isfinite(found.x).all())
        status: Status = "diverged" if broken else found.status
        last = found.last and _in_range(found.last)
        return replace(_in_range(found), status=status, problem=problem.id, seconds=seconds, last=last)


AnyIterate = TypeVar("AnyIterate", Iterate, Reconstruction)


def _in_range(found: AnyIterate) -> AnyIterate:
    unclamped = (found.x if found.unclamped is None else found.unclamped).detach()
    x = torch.nan_to_num(found.x.detach(), nan=0.5).clamp(0, 1)
    return replace(found, x=x, y=found.y.detach(), unclamped=unclamped)


def _best(candidates: list[Reconstruction]) -> Reconstruction:
    finite = [c for c in candidates if c.status not in ("diverged", "failed")] or candidates
    best = min(finite, key=lambda c: _order(c.score))
    ended = min(finite, key=lambda c: _order(c.end.score))
    last = None if ended is best and best.last is None else ended.end
    return replace(best, evaluations=sum(c.evaluations for c in candidates), last=last)


def _order(score: float) -> float:
    return score if score == score else math.inf
