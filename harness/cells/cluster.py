"""Look after workers on a cluster: what counts is the store and the queue, for killed workers tell nothing."""

import time
from collections.abc import Iterable, Mapping, Sequence

from harness.base import interruption
from harness.base.progress import say
from harness.cells import slurm
from harness.cells.slurm import SlurmJob, SlurmLauncher
from harness.cells.submission import Submission, opened, others
from harness.cells.task import ended
from harness.config.experiment import Experiment
from harness.store.lease import LOOK
from harness.store.records import Store

FIRST, LONGEST = 1.0, 15.0
"""Seconds between two questions to the queue: each time twice as long, up to so many."""
SURE = 2
"""So many answers without any of the jobs: one that is queued again may be in none for a moment."""

Runs = Mapping[str, Experiment]


def work(launcher: SlurmLauncher, overrides: Sequence[Sequence[str]], store: Store, left: Runs) -> str | None:
    """Have workers carry out runs until each was tried. Returns why some were not.

    Workers that still run for an earlier start of the same command are joined. On Ctrl-C what has not started is
    cancelled, and what runs comes to its own stop; on a second one all is cancelled. Raises UserError where SLURM
    takes no job.
    """
    with opened(store.root, left) as own, interruption.reaching(own.stop):
        crew = _Crew(launcher, overrides, store, own)
        try:
            try:
                return crew.work(left)
            except interruption.Interrupted:
                crew.wind_down()
                raise
        except KeyboardInterrupt:
            slurm.cancel(crew.own_jobs())
            raise
        finally:
            crew.leave()


class _Crew:
    """The jobs of a command's workers: those that it has submitted, and those that it found at the same runs."""

    def __init__(
        self, launcher: SlurmLauncher, overrides: Sequence[Sequence[str]], store: Store, own: Submission
    ) -> None:
        self._launcher, self._overrides, self._store, self._own = launcher, overrides, store, own
        self._joined: list[Submission] = []
        self._living: dict[str, SlurmJob] | None = {}
        self._told, self._log = "", ""
        self._again()

    def work(self, left: Runs) -> str | None:
        self._join(left)
        interruption.check()  # not before: who is told to stop at once stops the workers of an earlier start too
        self._fill(left)
        while left := self._unfinished(left):
            interruption.check()
            free = [identity for identity in left if self._store.holder(identity) is None]
            self._look(hasten=bool(free))
            if self._absent >= SURE and not free:
                self._log = ""  # what comes free later is no fault of these jobs
            elif self._absent >= SURE and self._unfinished({identity: left[identity] for identity in free}):
                if self._log:
                    return f"no job of its workers is in SLURM's queue any more, and nobody is at it: see {self._log}"
                self._submit(len(free))
            elif reason := self._hopeless():
                return reason
            time.sleep(LOOK)
        return None

    def own_jobs(self) -> list[str]:
        """Jobs that nobody else looks after."""
        return [*self._own.jobs, *(job for each in self._joined if each.orphaned for job in each.jobs)]

    def wind_down(self) -> None:
        """Take what has not started out of the queue, and wait until what runs has come to its stop."""
        for each in self._joined:
            if each.orphaned:
                each.stop.touch()
        while (queue := slurm.queue()) is not None:
            mine = [queue[job] for job in self.own_jobs() if job in queue]
            slurm.cancel(job.identity for job in mine if job.waits)
            if not any(job.works for job in mine):
                return
            time.sleep(FIRST)

    def leave(self) -> None:
        """Leave nothing behind in the queue that nobody needs; what is left there is said."""
        own, queue = self.own_jobs(), slurm.queue() if self.own_jobs() else {}
        if queue is None:
            if interruption.requested():
                self._own.needed = True
                say(f"SLURM's queue can't be asked; what is left there: scancel {' '.join(own)}")
            return
        slurm.cancel(job for job in own if job in queue and queue[job].waits)
        works = [job for job in own if job in queue and queue[job].works]
        if works and interruption.requested():
            self._own.needed = True
            say(f"left in SLURM's queue: scancel {' '.join(works)}")
            return
        for each in self._joined:
            if each.orphaned:
                each.remove()

    def _unfinished(self, runs: Runs) -> dict[str, Experiment]:
        return {identity: run for identity, run in runs.items() if not ended(self._store, run)}

    def _join(self, left: Runs) -> None:
        """Take in the workers that are at these runs already, and forget those that are gone."""
        queue = slurm.queue() or {}
        for each in others(self._store.root, self._own):
            if each.runs >= left.keys() and any(job in queue for job in each.jobs):
                self._joined.append(each)
            elif queue and each.orphaned and not any(job in queue for job in each.jobs):
                each.remove()
        self._living = {job: queue[job] for each in self._joined for job in each.jobs if job in queue}
        if self._living:
            say(f"joining the workers of an earlier start: {_named(self._living)}")

    def _fill(self, left: Runs) -> None:
        """Submit as many workers as there may be beside those that were joined, none for a run that is held."""
        living = len(self._living or ())
        free = sum(self._store.holder(identity) is None for identity in left)
        if (missing := min(len(self._overrides), free + living) - living) > 0:
            self._submit(missing)

    def _submit(self, count: int) -> None:
        """Add so many workers, as far as there may be as many."""
        jobs, self._log = slurm.submit(self._launcher, self._overrides[:count], self._own.stop)
        self._own.add(jobs)
        self._again()

    def _again(self) -> None:
        """Ask the queue at once, and often at first."""
        self._due, self._pause, self._absent = 0.0, FIRST, 0

    def _look(self, hasten: bool) -> None:
        """Ask the queue, if it is time to; say what it answers, if that is new."""
        now = time.monotonic()
        if now < self._due:
            return
        queue = slurm.queue()
        jobs = [job for each in (self._own, *self._joined) for job in each.jobs]
        self._living = None if queue is None else {job: queue[job] for job in jobs if job in queue}
        self._tell(_summary(self._living))
        gone = queue is not None and not self._living
        self._absent = self._absent + 1 if gone else 0
        self._due, self._pause = now + self._pause, FIRST if gone else min(2 * self._pause, LONGEST)
        if hasten and self._living:
            slurm.hasten(job.identity for job in self._living.values() if job.reason == "BeginTime")

    def _tell(self, news: str) -> None:
        if news and news != self._told:
            say(news)
        self._told = news

    def _hopeless(self) -> str | None:
        """Why none of the jobs will ever start."""
        if not self._living or not all(job.hopeless for job in self._living.values()):
            return None
        job = next(iter(self._living.values()))
        return (
            f"SLURM can never start job {job.identity} ({job.reason}): "
            "other hydra.launcher.partition, timeout_min, mem_gb, cpus_per_task or nodes are needed"
        )


def _summary(jobs: Mapping[str, SlurmJob] | None) -> str:
    """One line on the jobs; nothing while all of them run."""
    if jobs is None:
        return "queue: SLURM doesn't answer; the workers go on without it"
    waiting = [job for job in jobs.values() if job.waits]
    reasons = ", ".join(sorted({job.reason for job in waiting} - {"None"}))
    running = sum(job.works for job in jobs.values())
    return f"queue: {running} running, {len(waiting)} waiting ({reasons})" if reasons else ""


def _named(jobs: Iterable[str]) -> str:
    return ", ".join(f"job {job}" for job in jobs)
