"""Carry a table out: compose every cell, launch what is missing from the store, render what there is."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from harness.config import Experiment, Label
from harness.errors import CellsFailed
from harness.records import Store
from harness.tables import spec
from harness.tables.cell import LOG, CellsTask, failure
from harness.tables.measurement import Outcome
from harness.tables.plan import Plan, cell_config, check_data, compose, user
from harness.tables.render import render
from harness.tables.spec import Cell, Table
from harness.tables.terminal import show
from harness.tables.watch import watch


def sweep(context: HydraContext, config: DictConfig, arguments: Sequence[str]) -> None:
    """Make the table that `config.hydra.sweeper` describes, print it and then its directory.

    Raises UserError if a cell can't be composed or its data are missing, before anything runs; CellsFailed,
    when all is rendered, if a cell has no result.
    """
    node = cast(dict[str, Any], OmegaConf.to_container(config.hydra.sweeper, resolve=True))
    table = spec.parse(node)
    dataset, scale = (str(config.hydra.runtime.choices[group]) for group in ("dataset", "scale"))
    overrides, seeds = user(context, table, arguments)
    config = cell_config(config)
    plan = compose(context, config, table.cells(dataset, scale, overrides, seeds))
    paths = next(iter(plan.values())).paths
    store = Store(paths.runs)
    broken = launch(context, config, table, store, plan)
    outcomes = [_outcome(store, cell, plan, broken) for cell in plan]
    directory = paths.results / table.name / f"{dataset}-{scale}"
    show(render(table, dataset, scale, outcomes, store, directory))
    print(f"{directory}/", flush=True)
    if any(outcome.failure for outcome in outcomes):
        raise CellsFailed("\n".join(_complaint(store, outcomes)))


def launch(context: HydraContext, config: DictConfig, table: Table, store: Store, plan: Plan) -> str | None:
    """Have the configured launcher carry out the runs that are not in the store, each once.

    Cells that differ in seed and start alone are one job: their attacks share one engine.
    Whether a run succeeded, the store says. Returns what broke the launcher itself, if something did.
    """
    runs = {experiment.id: cell for cell, experiment in plan.items()}
    pending = {identity: cell for identity, cell in runs.items() if store.load(identity) is None}
    if not pending:
        return None
    check_data(plan)
    jobs: dict[str, list[Cell]] = {}
    for cell in pending.values():
        jobs.setdefault(plan[cell].kinship, []).append(cell)
    task = CellsTask(
        tuple(tuple(_labelled(table, cell, plan[cell]) for cell in job) for job in jobs.values())
    )
    launcher = Plugins.instance().instantiate_launcher(
        hydra_context=context, task_function=task, config=config
    )
    with watch(table, store, pending, done=len(runs) - len(pending)):
        try:
            launcher.launch([list(job[0].overrides) for job in jobs.values()], initial_job_idx=0)
        except RuntimeError as error:  # a worker was killed: joblib and submitit give up
            print(error, file=sys.stderr)
            return f"the launcher broke: {error}".splitlines()[0]
    return None


def _labelled(table: Table, cell: Cell, experiment: Experiment) -> Experiment:
    """The experiment of a cell, with what loggers call it unless the user gave names."""
    given = experiment.label
    label = Label(
        group=given.group or table.name,
        job_type=given.job_type or cell.row,
        name=given.name or cell.name,
        tags=[*given.tags, table.name, cell.column],
    )
    return replace(experiment, label=label)


def _outcome(store: Store, cell: Cell, plan: Plan, broken: str | None) -> Outcome:
    experiment = plan[cell]
    record = store.load(experiment.id)
    why = None if record else failure(store.root / experiment.id) or broken or "it left no result"
    return Outcome(cell, experiment.id, experiment.config, record, why, experiment)


def _complaint(store: Store, outcomes: Sequence[Outcome]) -> Iterator[str]:
    """How many cells failed, and of each why, and where its log is."""
    failed = [outcome for outcome in outcomes if outcome.failure]
    yield f"{len(failed)} of {len(outcomes)} cells have no result; the same command tries them again"
    for outcome in failed:
        log: Path = store.root / outcome.id / LOG
        where = f" ({log})" if log.exists() else ""
        yield f"  {outcome.cell.name}, seed {outcome.cell.seed}: {outcome.failure}{where}"
