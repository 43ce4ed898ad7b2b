"""What a launcher carries out, in this process or in another."""

import traceback
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from harness import interruption
from harness.config import Experiment
from harness.core import UserError
from harness.errors import explain_failure, warn
from harness.files import write_atomically

LOG = "error.log"
"""The file in a run's directory that says why it failed; there only while it is failed."""


@dataclass(frozen=True)
class CellsTask:
    """The task of a launcher. Its jobs are in the order of the launcher's numbers."""

    jobs: tuple[tuple[Experiment, ...], ...]
    """The cells of a job are carried out side by side."""

    def __call__(self, cfg: DictConfig) -> None:
        """Carry out one job. A failure is written to the directory of each of its runs: others must go on.

        The launcher's own configuration has done its duty in composing: what runs is what was validated before.
        """
        from harness.run import run_together

        interruption.leave_to_parent()
        if interruption.requested():
            return
        experiments = self.jobs[HydraConfig.get().job.num]
        directories = [experiment.paths.runs / experiment.id for experiment in experiments]
        for directory in directories:
            (directory / LOG).unlink(missing_ok=True)
        try:
            run_together(experiments)
        except interruption.Interrupted:
            return  # whoever launched the job knows, and lets the jobs beside it come to their own stops
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this job's own failure
            for directory in directories:
                _report(directory, error)


def _report(directory: Path, error: Exception) -> None:
    """Say in a run's directory why it failed, unless it had finished before."""
    if (directory / "result.json").exists():
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_atomically(directory / LOG, _explain(error).encode())
    except (OSError, UserError) as obstacle:  # a full disk, which is often what the failure is about
        warn(f"{directory}: {explain_failure(error)}; nor could that be written down ({obstacle})")


def _explain(error: Exception) -> str:
    """One line, then the traceback unless the line says all."""
    if isinstance(error, UserError):
        return f"{error}\n"
    return f"{explain_failure(error)}\n\n" + "".join(traceback.format_exception(error))


def failure(directory: Path) -> str | None:
    """Why a run failed, in one line; None when it did not."""
    log = directory / LOG
    return log.read_text(encoding="utf-8").splitlines()[0] if log.exists() else None
