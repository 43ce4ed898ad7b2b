"""SLURM's own commands: to submit workers, to ask what has become of them, to cancel them. Needs no accounting."""

import os
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any, Protocol, cast

from hydra.core.singleton import Singleton
from hydra.plugins.launcher import Launcher

from harness.base.errors import first_line
from harness.core import UserError

PATIENCE = 30.0
"""Seconds after which a command of SLURM's has to have answered."""
NEVER = frozenset(
    {
        "AccountNotAllowed", "BadConstraints", "DependencyNeverSatisfied", "InvalidAccount", "InvalidQOS",
        "MaxMemPerLimit", "PartitionConfig", "PartitionNodeLimit", "PartitionTimeLimit", "QOSNotAllowed",
        "launch failed requeued held",
    }
)  # fmt: skip
"""Reasons for which a job waits that no other job's end, nor a node's return, does away with."""
EACH = ("PerJob", "PerJobLimit")
"""How the reasons end that say that a job asks for more than one job may have."""


class SlurmLauncher(Protocol):
    """What there is of hydra-submitit-launcher's SlurmLauncher."""

    params: dict[str, Any]
    task_function: Any


@dataclass(frozen=True)
class SlurmJob:
    """A worker's job as the queue has it."""

    identity: str
    state: str
    reason: str

    @property
    def waits(self) -> bool:
        return self.state in ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT")

    @property
    def works(self) -> bool:
        """Whether the job runs: one that is completing has ended, or is being killed."""
        return not self.waits and self.state != "COMPLETING"

    @property
    def hopeless(self) -> bool:
        """Whether the queue says that the job can never start."""
        return self.waits and (self.reason in NEVER or self.reason.endswith(EACH))


def is_slurm(launcher: Launcher) -> bool:
    """Whether a launcher submits its jobs to SLURM."""
    return getattr(launcher, "_EXECUTOR", None) == "slurm"


def submit(launcher: SlurmLauncher, overrides: Sequence[Sequence[str]], stop: Path) -> tuple[list[str], str]:
    """Queue a worker for each list of overrides, to stop when there is a file `stop`. Returns the ids of their jobs,
    and the log of the last.

    The launcher's own `launch` would wait for what its workers return, which those that are killed never do. Raises
    UserError where SLURM refuses them.
    """
    import submitit
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    launcher.task_function = replace(launcher.task_function, stop=stop)
    settings = dict(launcher.params)
    folder, timeouts = settings.pop("submitit_folder"), settings.pop("max_num_timeout")
    shared = BaseQueueConf.__dataclass_fields__
    numbered = [
        (list(each), "hydra.sweep.dir", number, f"job_id_for_{number}", Singleton.get_state())
        for number, each in enumerate(overrides)
    ]
    try:
        executor = submitit.AutoExecutor(folder, cluster="slurm", slurm_max_num_timeout=timeouts)
        executor.update_parameters(
            **{key if key in shared else f"slurm_{key}": value for key, value in settings.items()}
        )
        with redirect_stderr(StringIO()):  # where submitit repeats what the error says
            jobs = executor.map_array(cast(Any, launcher), *zip(*numbered, strict=True))
    except (FailedJobError, FailedSubmissionError) as error:
        raise UserError(f"SLURM takes no job: {first_line(error)}") from error
    except (RuntimeError, ValueError, TypeError) as error:  # no srun here, a setting that sbatch lacks
        raise UserError(f"hydra.launcher: {first_line(error)}") from error
    return [job.job_id for job in jobs], str(jobs[-1].paths.stderr)


def queue() -> dict[str, SlurmJob] | None:
    """The user's jobs that wait or run, by id; None where the queue can't be asked."""
    answer = _ask("squeue", "--noheader", "--array", f"--user={os.getuid()}", "--format=%i|%T|%r")
    if answer is None:
        return None
    found = [SlurmJob(*line.strip().split("|", 2)) for line in answer.splitlines() if line.count("|") >= 2]
    return {job.identity: job for job in found}


def cancel(jobs: Iterable[str]) -> None:
    """Take jobs out of the queue, and stop those that run, as far as SLURM can be reached."""
    if given := sorted(jobs):
        _ask("scancel", *given)


def hasten(jobs: Iterable[str]) -> None:
    """Let jobs that were queued again start as soon as there is room: SLURM has them wait two minutes."""
    for job in sorted(jobs):
        _ask("scontrol", "update", f"JobId={job}", "StartTime=now")


def _ask(*command: str) -> str | None:
    """What a command answers; None where it fails, for want of a controller above all."""
    try:
        # Ctrl-C is for this process alone, which may be about to cancel jobs
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=True, start_new_session=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
