"""What a launcher carries out for each cell, in this process or in another."""

import dataclasses
import traceback
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from harness.config import Label, parse
from harness.core import UserError

LOG = "error.log"
"""The file in a run's directory that says why it failed; there only while it is failed."""


@dataclass(frozen=True)
class Job:
    """How a cell is called, and where its run is."""

    label: Label
    directory: Path


@dataclass(frozen=True)
class CellTask:
    """The task of a table's launcher. Its jobs are in the order of the launcher's numbers."""

    jobs: tuple[Job, ...]

    def __call__(self, cfg: DictConfig) -> None:
        """Carry out one cell. A failure is written to the run's directory: others must go on."""
        from harness.run import run

        hydra = HydraConfig.get()
        job = self.jobs[hydra.job.num]
        (job.directory / LOG).unlink(missing_ok=True)
        try:
            experiment = parse(cfg, hydra.runtime.choices)
            if experiment.id != job.directory.name:
                raise UserError("its configuration was edited while the table ran")
            run(dataclasses.replace(experiment, label=job.label))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this cell's own failure
            job.directory.mkdir(parents=True, exist_ok=True)
            (job.directory / LOG).write_text(_explain(error), encoding="utf-8")


def _explain(error: Exception) -> str:
    """One line, then the traceback unless the line says all."""
    if isinstance(error, UserError):
        return f"{error}\n"
    return (
        f"{type(error).__name__}: {error}".splitlines()[0]
        + "\n\n"
        + "".join(traceback.format_exception(error))
    )


def failure(directory: Path) -> str | None:
    """Why a run failed, in one line; None when it did not."""
    log = directory / LOG
    return log.read_text(encoding="utf-8").splitlines()[0] if log.exists() else None
