"""Continuous batching: a fixed number of slots, refilled from a queue of problems."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from harness.core import Observation, Params, Reconstruction, Status

if TYPE_CHECKING:
    from harness.attacks.optimization import OptimizationAttack

Variables = dict[str, Tensor]
"""What is searched for, by name: images, label logits, latent vectors."""

EXPLODED = 1e3
"""A loss this many times the first one, for EXPLODED_STEPS steps on end, counts as diverged."""
EXPLODED_STEPS = 20
TRACE_POINTS = 100


@dataclass(frozen=True, eq=False)
class Job:
    """One search: who asked, what was observed, and the only source of randomness."""

    key: Any
    observation: Observation
    rng: torch.Generator


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
class Layout:
    """How named variables lie in one flat vector."""

    shapes: dict[str, torch.Size]

    @property
    def size(self) -> int:
        return sum(shape.numel() for shape in self.shapes.values())

    def flatten(self, variables: Variables) -> Tensor:
        """Variables, with or without a leading axis of slots, to [..., size]."""
        parts = [
            variables[name].flatten(variables[name].dim() - len(self.shapes[name])) for name in self.shapes
        ]
        return torch.cat(parts, dim=-1)

    def unflatten(self, flat: Tensor) -> Variables:
        """[..., size] to variables."""
        parts = torch.split(flat, [shape.numel() for shape in self.shapes.values()], dim=-1)
        return {
            name: part.reshape(*part.shape[:-1], *shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }


@dataclass
class Search:
    """The state of the job in one slot."""

    job: Job
    known: Params
    best: Tensor
    best_loss: float = math.inf
    first_loss: float = math.nan
    evaluations: int = 0
    exploded: int = 0
    trace: list[dict[str, float]] = field(default_factory=list)

    def record(self, x: Tensor, loss: float, every: int) -> None:
        """Take note of a loss and of the very point at which it was measured."""
        if self.evaluations == 0:
            self.first_loss = loss
        if loss < self.best_loss:
            self.best_loss, self.best = loss, x.clone()
        if self.evaluations % every == 0:
            self.trace.append({"evaluation": self.evaluations, "loss": loss})
        self.evaluations += 1
        self.exploded = self.exploded + 1 if loss > EXPLODED * self.first_loss else 0


class Engine:
    """Step all slots, retire a slot that is converged, stalled, diverged or out of budget, and load the next job.

    Every slot has its own random generator and its own optimiser state: results don't depend on the number of slots,
    on the order of the jobs, or on what happens in other slots.
    """

    def __init__(self, attack: "OptimizationAttack") -> None:
        self.attack = attack
        self.budget = attack.steps * attack.evaluations_per_step

    def run(self, jobs: Iterator[Job | None]) -> Iterator[tuple[Any, Reconstruction]]:
        """Carry out all jobs, in any order. None in the queue: nothing is ready before something has finished."""
        queue = Queue(jobs)
        first = queue.next()
        if first is None:
            return queue.check()
        start = self._initial(first)
        self.layout = Layout({name: value.shape for name, value in start.items()})
        flat = self.layout.flatten(start)
        self.searches: list[Search | None] = [None] * self.attack.slots
        self.x = flat.new_zeros(self.attack.slots, self.layout.size)
        self.state = self.attack.optimizer.start(self.attack.slots, self.layout.size, flat.device, flat.dtype)
        self._load(0, first, start)
        self._refill(queue)
        while any(self.searches):
            loss, gradient = self._evaluate()
            empty = self._empty()
            yield from self._retire(loss)
            self._step(loss, gradient)
            yield from self._stalled()
            if self._empty() != empty:
                self._refill(queue)

    def _refill(self, queue: Queue) -> None:
        """Fill the empty slots, as far as the queue has something ready."""
        for slot in self._empty():
            job = queue.next()
            if job is None:
                break
            self._load(slot, job, self._initial(job))
        if not any(self.searches):
            queue.check()

    def _empty(self) -> list[int]:
        return [slot for slot, search in enumerate(self.searches) if search is None]

    def _initial(self, job: Job) -> Variables:
        """Where a job starts: drawn on the CPU, then moved to where its network is."""
        like = next(iter(job.observation.params.values()))
        start = self.attack.initial(job.observation, job.rng)
        return {name: value.to(like) for name, value in start.items()}

    def _load(self, slot: int, job: Job, start: Variables) -> None:
        x = self.layout.flatten(start)
        self.searches[slot] = Search(job, self.attack.prepare(job.observation), x)
        self.x[slot] = self.state.reset(slot, x, self.budget, job.rng)

    def _evaluate(self) -> tuple[Tensor, Tensor | None]:
        """Loss [slots] and gradient [slots, size] at the current points, one problem after the other."""
        loss = self.x.new_zeros(len(self.searches))
        gradient = torch.zeros_like(self.x) if self.attack.optimizer.uses_gradient else None
        for slot, search in enumerate(self.searches):
            if search is None:
                continue
            x = self.x[slot].detach().requires_grad_(gradient is not None)
            value = self.attack.loss(self.layout.unflatten(x), search.job.observation, search.known)
            if gradient is not None:
                (gradient[slot],) = torch.autograd.grad(value, x)
            loss[slot] = value.detach()
        return loss, gradient

    def _retire(self, loss: Tensor) -> Iterator[tuple[Any, Reconstruction]]:
        values = loss.tolist()
        every = max(1, self.budget // TRACE_POINTS)
        for slot, search in enumerate(self.searches):
            if search is None:
                continue
            search.record(self.x[slot], values[slot], every)
            status = self._status(search, values[slot])
            if status is not None:
                yield self._finish(slot, search, status)

    def _status(self, search: Search, loss: float) -> Status | None:
        if not math.isfinite(loss) or search.exploded >= EXPLODED_STEPS * self.attack.evaluations_per_step:
            return "diverged"
        if self.attack.tolerance is not None and loss < self.attack.tolerance:
            return "converged"
        return "budget" if search.evaluations >= self.budget else None

    def _step(self, loss: Tensor, gradient: Tensor | None) -> None:
        active = torch.tensor([search is not None for search in self.searches], device=loss.device)
        if not any(self.searches):
            return
        x, self.stuck = self.state.step(self.x, gradient, loss, active)
        observation = next(search for search in self.searches if search is not None).job.observation
        self.x = self.layout.flatten(self.attack.project(self.layout.unflatten(x), observation))

    def _stalled(self) -> Iterator[tuple[Any, Reconstruction]]:
        if any(self.searches):
            for slot in self.stuck.nonzero().flatten().tolist():
                search = self.searches[slot]
                if search is not None:
                    yield self._finish(slot, search, "stalled")

    def _finish(self, slot: int, search: Search, status: Status) -> tuple[Any, Reconstruction]:
        self.searches[slot] = None
        variables = self.layout.unflatten(search.best)
        observation = search.job.observation
        with torch.no_grad():
            found = self.attack.decode(variables, observation, search.known)
            score = self.attack.score(variables, observation, search.known, search.best_loss)
            last = self.attack.decode(self.layout.unflatten(self.x[slot]), observation, search.known)
        steps = math.ceil(search.evaluations / self.attack.evaluations_per_step)
        return search.job.key, Reconstruction(
            x=found.x,
            y=found.y,
            loss=search.best_loss,
            score=score,
            status=status,
            iterations=steps,
            evaluations=search.evaluations,
            trace=search.trace,
            unclamped=last.x,
        )
