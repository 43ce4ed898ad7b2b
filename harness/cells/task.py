"""What a launcher carries out, in this process or in another."""

import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from harness.base import interruption
from harness.base.blame import culprit
from harness.base.errors import CellsFailed, explain_failure, warn
from harness.base.files import shown, write_atomically
from harness.base.secrecy import redact
from harness.config.experiment import Experiment
from harness.core import UserError
from harness.runs.answers import settled
from harness.store.lease import LOOK, Held
from harness.store.records import Store

LOG = "error.log"
"""The file in a run's directory that says why it failed; there only while it is failed."""

STAY = 1.5
"""For so many times what it takes a dead worker's lease to expire, a worker waits for what others are at."""


@dataclass(frozen=True)
class CellsTask:
    """The task of a launcher, each of whose jobs is a worker: the workers share what is to be done by leases.

    So do workers that other commands have started, on this machine or on others that have the same store.
    """

    jobs: tuple[tuple[Experiment, ...], ...]
    """The cells of a job are carried out side by side."""
    stop: Path | None = None
    """The file that asks a worker on a cluster to stop."""

    def __call__(self, cfg: DictConfig) -> tuple[str, ...]:
        """Carry out the jobs that no one has done or is doing. Returns the runs it tried.

        The launcher's own configuration has done its duty in composing: what runs is what was validated before.
        """
        from harness.machine.device import take_turn

        interruption.leave_to_parent()
        if self.stop:
            interruption.attend(self.stop)
        take_turn(HydraConfig.get().job.num)
        tried = tuple(self._work())
        interruption.await_termination()
        interruption.follow_parent()
        return tried

    def _work(self) -> Iterator[str]:
        """The runs that this worker tried, until all have been, or those left are others' for longer than a dead
        worker would keep them."""
        left, busy = [list(job) for job in self.jobs], time.monotonic()
        while (left := [rest for job in left if (rest := _left(job))]) and not interruption.requested():
            tried = list(self._pass(left))
            yield from tried
            left = [[run for run in job if run.id not in tried] for job in left]
            if tried:
                busy = time.monotonic()
            elif time.monotonic() - busy > STAY * max(run.lease.expiry for job in left for run in job):
                return
            else:
                time.sleep(LOOK)

    def _pass(self, jobs: Iterable[list[Experiment]]) -> Iterator[str]:
        """Carry out, one after the other, the jobs that no one has done or is doing."""
        for job in jobs:
            if interruption.requested():
                return  # whoever launched the worker knows, and lets those beside it come to their own stops
            free = [experiment for experiment in job if _free(experiment)]
            if free and _carry_out(free):
                yield from (experiment.id for experiment in free)


def _left(job: Iterable[Experiment]) -> list[Experiment]:
    return [experiment for experiment in job if not ended(Store(experiment.paths.runs), experiment)]


def _free(experiment: Experiment) -> bool:
    """Whether a run waits for someone to carry it out."""
    store = Store(experiment.paths.runs)
    return not ended(store, experiment) and store.holder(experiment.id) is None


def _carry_out(experiments: list[Experiment]) -> bool:
    """Whether they could be tried: not when another worker was faster, or has taken over.

    A failure is written to the directory of each of the runs: others must go on.
    """
    from harness.runs.run import run_together

    try:
        run_together(experiments)
    except (Held, interruption.Interrupted):
        return False
    except Exception as error:  # noqa: BLE001 - whatever it is, it is these runs' own failure
        for experiment in experiments:
            if not settled(Store(experiment.paths.runs), experiment):
                report(experiment.paths.runs / experiment.id, error)
    return True


def report(directory: Path, error: Exception) -> None:
    """Say in a run's directory why it failed."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_atomically(directory / LOG, redact(_explain(error)).encode())
    except (OSError, UserError) as obstacle:  # a full disk, which is often what the failure is about
        warn(f"{directory}: {explain_failure(error)}; nor could that be written down ({obstacle})")


def _explain(error: Exception) -> str:
    """One line, then the traceback unless the line says all."""
    if isinstance(error, UserError):
        return f"{error}\n"
    line = culprit(error)
    where = f" at {line.filename}:{line.lineno}" if line else ""
    return f"{explain_failure(error)}{where}\n\n" + "".join(traceback.format_exception(error))


def is_mistake(directory: Path) -> bool:
    """Whether a run failed for a mistake of the user's, which a line explains without a traceback."""
    log = directory / LOG
    return log.exists() and "\n\n" not in log.read_text(encoding="utf-8")


def shortfall(complaint: str, failed: Iterable[Path]) -> UserError | CellsFailed:
    """What to raise where runs have no result: mistakes of the user's alone are told apart from failures."""
    return UserError(complaint) if all(map(is_mistake, failed)) else CellsFailed(complaint)


def complaints(failures: Sequence[tuple[str, str, Path]]) -> Iterator[str]:
    """A line for each reason why runs have no result, of each its name, why, and its directory."""
    alike: dict[str, list[tuple[str, Path]]] = {}
    for name, why, directory in failures:
        alike.setdefault(why, []).append((name, directory))
    for why, ((name, directory), *more) in alike.items():
        others = f" and {len(more)} more" if more else ""
        log = f" ({shown(directory / LOG)})" if (directory / LOG).exists() else ""
        yield f"  {name}{others}: {why}{log}"


def failure(directory: Path) -> str | None:
    """Why a run failed, in one line; None when it did not."""
    log = directory / LOG
    return log.read_text(encoding="utf-8").splitlines()[0] if log.exists() else None


def forget(directory: Path) -> None:
    """Let a run that failed be tried again."""
    (directory / LOG).unlink(missing_ok=True)


def ended(store: Store, experiment: Experiment) -> bool:
    """Whether a run has all that is asked for, or has failed."""
    return settled(store, experiment) or failure(store.root / experiment.id) is not None
