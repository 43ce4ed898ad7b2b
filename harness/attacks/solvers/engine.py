"""Continuous batching: a fixed number of slots, refilled from a queue of problems."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from harness.attacks.solvers.evaluator import Setting
from harness.attacks.solvers.jobs import EXPLODED, EXPLODED_STEPS, Job, Queue, Search
from harness.attacks.solvers.native import Native, Rules
from harness.attacks.solvers.objective import Objective
from harness.attacks.solvers.optimizer import rows
from harness.attacks.solvers.selection import select, select_native
from harness.attacks.solvers.telling import Attended, Chapters, Pulse
from harness.attacks.solvers.variables import LATENT, Layout, Variables
from harness.base.errors import warn
from harness.core import Iterate, Params, Reconstruction, Status, Unreadable
from harness.machine.memory import reuse_freed_memory

TRACE_POINTS = 100


class Engine:
    """Step all slots, retire a slot that is converged, stalled, diverged or out of budget, and load the next job.

    Every slot has its own random generator and its own optimiser state: results don't depend on the number of slots,
    on the order of the jobs, or on what happens in other slots. On one thread of a CPU they are the same to the last
    bit; but one slot, and an attempt outside a run, take the loop, which rounds differently from vmap.
    """

    def __init__(self, attack: Objective) -> None:
        self.attack = attack
        self.budget = attack.steps * attack.evaluations_per_step
        self.searches: list[Search | None] = []
        self.slots = 1
        self.native: Native | None = None
        self.waiting: tuple[Job, Params] | None = None
        """A job of another kind than those under way, with whose end its own slots are made."""
        self.pulse = Pulse()

    def run(self, jobs: Iterator[Job | None]) -> Iterator[tuple[Any, Reconstruction]]:
        """Carry out all jobs, in any order. None in the queue: nothing is ready before something has finished.

        A job whose update says nothing to the attack comes back at once, with status failed.
        """
        reuse_freed_memory()
        queue = Queue(jobs)
        yield from self._refill(queue)
        while any(self.searches):
            loss, gradient = self._evaluate()
            empty, ended, evaluated = self._empty(), self._ended(loss), self.x
            self._step(loss, gradient, ended)
            for slot, (search, status) in ended.items():
                yield self._finish(slot, search, status, evaluated[slot])
            yield from self._stalled(evaluated)
            if self._empty() != empty:
                yield from self._refill(queue)

    def _refill(self, queue: Queue) -> Iterator[tuple[Any, Reconstruction]]:
        """Load jobs, as far as the queue has some ready and there are slots."""
        while len(self.searches) - len(self._empty()) < self.slots:
            if self.waiting is None:
                job = queue.next()
                if job is None:
                    break
                try:
                    known = self.attack.prepare(job.observation)
                except Unreadable as error:
                    warn(str(error))
                    yield job.key, Reconstruction.of_nothing(job.observation)
                    continue
            else:
                (job, known), self.waiting = self.waiting, None
            if not self._takes(job):
                self.waiting = job, known
                break
            found = self._admit(job, known)
            if found is not None:
                yield job.key, found
        if not any(self.searches):
            queue.check()
        self._narrow()

    def _takes(self, job: Job) -> bool:
        """Whether a job can be searched beside those under way; where there are none, slots are made for it."""
        if not self.searches or self.native is not None or self.evaluator.takes(job.observation):
            return True
        if not any(self.searches):
            self.searches = []
        return not self.searches

    def _admit(self, job: Job, known: Params) -> Reconstruction | None:
        """Load a job into a slot; the first one makes the slots, to measure. Native code answers at once."""
        start = self._initial(job)
        if not self.searches:
            self._make(job, start, known)
        x = self.layout.flatten(start)
        if self.native is not None:
            return self._search(self.native, job, x, known)
        self._load(self._free(), job, x, known)
        return None

    def _search(self, native: Native, job: Job, x: Tensor, known: Params) -> Reconstruction:
        per_step = self.attack.evaluations_per_step
        rules = Rules(
            self.budget,
            self._every,
            self.attack.tolerance,
            exploded=EXPLODED,
            exploded_steps=EXPLODED_STEPS * per_step,
            patience=per_step * (self.attack.patience or 0),
            improvement=self.attack.improvement,
        )
        attended = self._attended(job, known)
        found = native.search(x, job.observation, known, rules, Chapters(attended, self._every, self.pulse))
        assert found.status is not None
        search = Search(job, known, attended, evaluations=found.evaluations)
        search.trace = [
            {"evaluation": self._every * point, "loss": loss} for point, loss in enumerate(found.trace)
        ]
        return self._reconstruction(search, found.best, found.best_loss, found.status, found.newest)

    @property
    def _every(self) -> int:
        """Evaluations between two points of the trace."""
        return max(1, self.budget // TRACE_POINTS)

    def _make(self, first: Job, start: Variables, known: Params) -> None:
        self.layout = Layout({name: value.shape for name, value in start.items()})
        x = self.layout.flatten(start)
        setting = Setting(self.attack, self.layout, first.observation, known)
        self.native = select_native(setting, self.attack.engine)
        if self.native is not None:
            self.searches = [None]
            return
        wanted, slots = self.attack.engine, self.attack.slots
        self.evaluator, self.slots = select(setting, x, wanted, slots, first.alone, first.one_network)
        self.searches = [None] * self.slots
        self.x = x.new_zeros(self.slots, self.layout.size)
        self.best = torch.zeros_like(self.x)
        """The points with the lowest losses so far [S, size]."""
        self.best_loss = x.new_zeros(self.slots)
        self.state = self.attack.optimizer.start(self.slots, self.layout, x.device, x.dtype)

    def _free(self) -> int:
        """An empty slot; where there is none, twice as many slots as before."""
        if not self._empty():
            count = len(self.searches)
            self._resize(list(range(count)), min(2 * count, self.slots))
        return self._empty()[0]

    def _narrow(self) -> None:
        """Drop the empty slots where they are the half, for they cost as much as the others."""
        used = [slot for slot, search in enumerate(self.searches) if search is not None]
        if used and 2 * len(used) <= len(self.searches):
            self._resize(used, len(used))

    def _resize(self, used: list[int], slots: int) -> None:
        """Have so many slots, if the optimiser can: those in use first."""
        if self.state.resize(used, slots):
            self.searches = [self.searches[slot] for slot in used] + [None] * (slots - len(used))
            self.x, self.best, self.best_loss = (
                rows(each, used, slots) for each in (self.x, self.best, self.best_loss)
            )
            self.evaluator.renumber(used)

    def _empty(self) -> list[int]:
        return [slot for slot, search in enumerate(self.searches) if search is None]

    def _initial(self, job: Job) -> Variables:
        """Where a job starts: drawn on the CPU, then moved to where its network is."""
        like = next(iter(job.observation.params.values()))
        start = self.attack.initial(job.observation, job.rng)
        return {name: value.to(like) for name, value in start.items()}

    def _load(self, slot: int, job: Job, x: Tensor, known: Params) -> None:
        self.searches[slot] = Search(job, known, self._attended(job, known))
        self.x[slot] = self.state.reset(slot, x, self.budget, job.rng)
        self.best[slot], self.best_loss[slot] = x, math.inf
        self.evaluator.load(slot, job.observation, known)

    def _attended(self, job: Job, known: Params) -> Attended:
        """The search of a job, for who hears of it."""
        return Attended(self.attack, self.layout, job.observation, known, job.restart, job.watch, self.budget)

    def _evaluate(self) -> tuple[Tensor, Tensor | None]:
        """Loss [slots] and gradient [slots, size] at the current points, zero in empty slots."""
        slots, found, gradients = self.evaluator.evaluate(self.x)
        loss = found.new_zeros(len(self.searches))
        loss[slots] = found
        gradient = None
        if gradients is not None:
            gradient = torch.zeros_like(self.x)
            gradient[slots] = gradients
        better = loss < self.best_loss
        self.best = torch.where(better[:, None], self.x, self.best)
        self.best_loss = torch.where(better, loss, self.best_loss)
        return loss, gradient

    def _ended(self, loss: Tensor) -> dict[int, tuple[Search, Status]]:
        """Take note of an evaluation; the slots whose search ends with it."""
        values, due = loss.tolist(), self.pulse.due()
        ended: dict[int, tuple[Search, Status]] = {}
        for slot, search in enumerate(self.searches):
            if search is not None:
                if search.record(values[slot], self._every, self.attack.improvement):
                    search.trace[-1] |= self._so_far(slot, search)
                    search.tell(values[slot], self.x[slot])
                if due:
                    search.attended.advance(search.evaluations, values[slot])
                if status := self._status(search, values[slot]):
                    ended[slot] = search, status
        return ended

    def _status(self, search: Search, loss: float) -> Status | None:
        if not math.isfinite(loss) or search.exploded >= EXPLODED_STEPS * self.attack.evaluations_per_step:
            return "diverged"
        if self.attack.tolerance is not None and loss < self.attack.tolerance:
            return "converged"
        if search.evaluations >= self.budget:
            return "budget"
        idle = (search.evaluations - search.marked) / self.attack.evaluations_per_step
        return "stalled" if self.attack.patience is not None and idle >= self.attack.patience else None

    def _step(
        self, loss: Tensor, gradient: Tensor | None, ended: Mapping[int, tuple[Search, Status]]
    ) -> None:
        """Move the searches that go on, and those whose budget is spent: the authors' loops end with a move."""
        rest = {slot for slot, (_, status) in ended.items() if status != "budget"}
        moving = [search is not None and slot not in rest for slot, search in enumerate(self.searches)]
        self.stuck = torch.zeros(len(moving), dtype=torch.bool, device=loss.device)
        if not any(moving):
            return
        x, self.stuck = self.state.step(self.x, gradient, loss, torch.tensor(moving, device=loss.device))
        observation = next(search for search in self.searches if search is not None).job.observation
        self.x = self.layout.flatten(self.attack.project(self.layout.unflatten(x), observation))

    def _stalled(self, evaluated: Tensor) -> Iterator[tuple[Any, Reconstruction]]:
        for slot in self.stuck.nonzero().flatten().tolist():
            search = self.searches[slot]
            if search is not None:
                yield self._finish(slot, search, "stalled", evaluated[slot])

    def _finish(
        self, slot: int, search: Search, status: Status, evaluated: Tensor
    ) -> tuple[Any, Reconstruction]:
        """Empty a slot. A search that has converged or diverged ends where that was seen, at the point `evaluated`."""
        self.searches[slot] = None
        self.evaluator.release(slot)
        end = self.state.end(slot, self.x[slot]) if status in ("budget", "stalled") else evaluated
        best, loss = self.best[slot].clone(), float(self.best_loss[slot])
        return search.job.key, self._reconstruction(search, best, loss, status, end.clone())

    def _reconstruction(
        self, search: Search, x: Tensor, loss: float, status: Status, end: Tensor
    ) -> Reconstruction:
        best = self._iterate(search, x, loss)
        return Reconstruction(
            x=best.x,
            y=best.y,
            loss=loss,
            score=best.score,
            status=status,
            iterations=math.ceil(search.evaluations / self.attack.evaluations_per_step),
            evaluations=search.evaluations,
            trace=search.trace,
            last=None if torch.equal(x, end) else self._iterate(search, end),
            latent=best.latent,
        )

    @torch.no_grad()
    def _iterate(self, search: Search, x: Tensor, loss: float | None = None) -> Iterate:
        """What a point [size] stands for, and its loss where that is not known yet."""
        variables, observation, known = self.layout.unflatten(x), search.job.observation, search.known
        if loss is None:
            loss = float(self.attack.loss(variables, observation, known))
        found = self.attack.decode(variables, observation, known)
        score = self.attack.score(variables, observation, known, loss)
        return Iterate(found.x, found.y, loss, score, latent=variables.get(LATENT))

    @torch.no_grad()
    def _so_far(self, slot: int, search: Search) -> dict[str, float]:
        """The best loss of a slot so far, and of which the regularisers at that point."""
        at = self.layout.unflatten(self.best[slot]), search.job.observation, search.known
        terms = self.attack.regularizers(*at).values()
        own = {"regularizers": sum(map(float, terms))} if terms else {}
        return {"best": float(self.best_loss[slot]), **own}
