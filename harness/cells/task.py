"""What a launcher carries out, in this process or in another."""

import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from harness.base import interruption
from harness.base.errors import CellsFailed, explain_failure, warn
from harness.base.files import write_atomically
from harness.base.secrecy import redact
from harness.config.experiment import Experiment
from harness.core import UserError
from harness.runs.answers import settled
from harness.store.lease import Held
from harness.store.records import Store

LOG = "error.log"
"""The file in a run's directory that says why it failed; there only while it is failed."""


@dataclass(frozen=True)
class CellsTask:
    """The task of a launcher, each of whose jobs is a worker: the workers share what is to be done by leases.

    So do workers that other commands have started, on this machine or on others that have the same store.
    """

    jobs: tuple[tuple[Experiment, ...], ...]
    """The cells of a job are carried out side by side."""

    def __call__(self, cfg: DictConfig) -> tuple[str, ...]:
        """Carry out, one after the other, the jobs that no one has done or is doing. Returns the runs it tried.

        The launcher's own configuration has done its duty in composing: what runs is what was validated before.
        """
        from harness.machine.device import take_turn

        interruption.leave_to_parent()
        take_turn(HydraConfig.get().job.num)
        tried: list[str] = []
        for job in self.jobs:
            if interruption.requested():
                break  # whoever launched the worker knows, and lets those beside it come to their own stops
            free = [experiment for experiment in job if _free(experiment)]
            if free and _carry_out(free):
                tried += [experiment.id for experiment in free]
        return tuple(tried)


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
    return f"{explain_failure(error)}\n\n" + "".join(traceback.format_exception(error))


def is_mistake(directory: Path) -> bool:
    """Whether a run failed for a mistake of the user's, which a line explains without a traceback."""
    log = directory / LOG
    return log.exists() and "\n\n" not in log.read_text(encoding="utf-8")


def shortfall(complaint: str, failed: Iterable[Path]) -> UserError | CellsFailed:
    """What to raise where runs have no result: mistakes of the user's alone are told apart from failures."""
    return UserError(complaint) if all(map(is_mistake, failed)) else CellsFailed(complaint)


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
