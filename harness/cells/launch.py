"""Have a launcher carry out what is missing from the store."""

import os
import time
from collections.abc import Sequence
from typing import Any, cast

from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict, read_write

from harness.base import interruption
from harness.base.errors import MEMORY, warn, warn_once
from harness.base.files import check_writable
from harness.base.internals import is_basic, what_broke
from harness.cells import cluster, slurm
from harness.cells.handed import take_published
from harness.cells.plan import AnyCell, Plan, check_data
from harness.cells.task import CellsTask, ended, forget, report
from harness.cells.turns import in_turn
from harness.cells.watch import Tell, watch
from harness.config.experiment import Experiment
from harness.core import UserError
from harness.machine.ranks import started_elsewhere
from harness.runs.answers import settled, wanted
from harness.store.lease import LOOK, abandoned
from harness.store.provenance import note_stored
from harness.store.records import Store, hint_older

IDLE = 3
"""So many launches in which no run was tried, although no process was at one, and nothing is waited for any more."""


def launch(
    context: HydraContext, config: DictConfig, store: Store, plan: Plan[AnyCell], title: str, tell: Tell
) -> str | None:
    """Have the configured launcher carry out the runs of a plan that are neither in the store nor published, each once.

    Runs that another process is at are left to it, waited for, and taken over if it dies. Whether a run succeeded,
    the store says. Returns what broke the launcher itself, if something did.
    """
    take_published(store, plan)
    runs = {plan[cell].id: cell for cell in sorted(plan, key=lambda cell: wanted(plan[cell]))}
    pending = {identity: cell for identity, cell in runs.items() if not settled(store, plan[cell])}
    stored = [identity for identity in runs if identity not in pending]
    for identity in stored:
        store.tidy(identity)
    note_stored([store.root / identity for identity in stored])
    if not pending:
        return None
    if started_elsewhere():
        raise UserError(
            "the workers of a table share its runs by themselves: start them without torchrun or srun"
        )
    check_writable(store.root)
    check_data(plan)
    hint_older(store.root)
    for cell in pending.values():
        for lacking in plan[cell].metric.lacking():
            warn_once(lacking)
    for identity in pending:
        if store.holder(identity) is None:
            forget(store.root / identity)
    task = CellsTask(_jobs([plan[cell] for cell in pending.values()]))
    if folder := config.hydra.launcher.get("submitit_folder"):
        with read_write(config), open_dict(config):
            config.hydra.launcher.submitit_folder = os.path.expanduser(folder)
    launcher = Plugins.instance().instantiate_launcher(
        hydra_context=context, task_function=task, config=config
    )
    workers = _workers(launcher, config.hydra.launcher, len(task.jobs))
    overrides = [list(cell.overrides) for cell in pending.values()][:workers]
    left = {identity: plan[cell] for identity, cell in pending.items()}
    named = {run.id: (pending[run.id].name, run) for job in task.jobs for run in job}
    with watch(title, store, named, tell, done=len(runs) - len(pending)):
        if slurm.is_slurm(launcher):
            return cluster.work(cast(Any, launcher), overrides, store, left)
        return _work(launcher, overrides, store, left)


def _jobs(experiments: Sequence[Experiment]) -> tuple[tuple[Experiment, ...], ...]:
    """Runs that differ in seed and start alone are one job: their attacks share one engine."""
    jobs: dict[str, list[Experiment]] = {}
    for experiment in experiments:
        jobs.setdefault(experiment.group_key, []).append(experiment)
    return in_turn([tuple(job) for job in jobs.values()])


def _workers(launcher: Launcher, settings: DictConfig, jobs: int) -> int:
    """How many workers there should be: as many as the launcher runs at once, but no more than jobs."""
    if is_basic(launcher):
        return 1
    said = settings.get("n_jobs") or settings.get("array_parallelism") or 0
    return min(jobs, said if said > 0 else os.cpu_count() or 1)


def _work(
    launcher: Launcher, overrides: Sequence[Sequence[str]], store: Store, left: dict[str, Experiment]
) -> str | None:
    """Launch workers until every run was tried, by them or by others. Returns what broke the launcher.

    Where a worker is killed, others go on one at a time: then it is certain which run kills, and that one has failed.
    """
    idle = 0
    while left := {identity: run for identity, run in left.items() if not ended(store, run)}:
        if all(store.holder(identity) for identity in left):
            interruption.check()
            time.sleep(LOOK)
            continue
        before = {identity: abandoned(store.root / identity) for identity in left}
        try:
            workers = launcher.launch(overrides, initial_job_idx=0)
        except RuntimeError as error:  # a worker was killed: joblib and submitit give up
            news = f"the launcher broke: {error}".splitlines()[0]
            died = {i for i in left if abandoned(store.root / i) not in (None, before[i])}
            if not died:
                return news
            if len(overrides) == 1:
                for identity in died:
                    report(
                        store.root / identity,
                        UserError(f"its worker was killed, perhaps for want of {MEMORY}"),
                    )
            else:
                warn(f"{news} Going on with one worker")
            overrides = overrides[:1]
            continue
        finally:
            interruption.check()
        for worker in workers:
            if worker.status is JobStatus.FAILED:
                return f"a worker broke: {what_broke(worker)}".splitlines()[0]
        tried = {identity for worker in workers for identity in worker.return_value}
        idle = 0 if tried & left.keys() or any(map(store.holder, left)) else idle + 1
        left = {identity: run for identity, run in left.items() if identity not in tried}
        if left and idle == IDLE:
            return (
                f"workers have ended {IDLE} times without trying {len(left)} runs that no process is at, "
                f"{min(left)} first: they see another store than {store.root}, or other settings"
            )
    return None
