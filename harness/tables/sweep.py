"""Carry a table out: compose every cell, launch what is missing from the store, render what there is."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from harness.base.files import check_writable, shown
from harness.cells.handed import take_published
from harness.cells.launch import launch
from harness.cells.plan import Plan, cell_config, check_metrics, compose
from harness.cells.task import complaints, failure, shortfall
from harness.config.execution import Label
from harness.config.experiment import Experiment
from harness.core import Record, UserError
from harness.loggers.logger import warn_unlogged
from harness.runs.answers import answer, so_far
from harness.store.records import Store
from harness.tables import spec
from harness.tables.budget import budgets, papers, shared
from harness.tables.layout import Cell
from harness.tables.measurement import Outcome
from harness.tables.plan import user
from harness.tables.render import render
from harness.tables.spec import Table
from harness.tables.terminal import show
from harness.tables.view import number


def sweep(context: HydraContext, config: DictConfig, arguments: Sequence[str]) -> None:
    """Make the table that `config.hydra.sweeper` describes, print it and then its directory.

    Raises UserError if a cell can't be composed or its data are missing, before anything runs, or if mistakes of
    the user's are all that failed; else CellsFailed, when all is rendered, if a cell has no result.
    """
    node = cast(dict[str, Any], OmegaConf.to_container(config.hydra.sweeper, resolve=True))
    table = spec.parse(node)
    dataset, scale = (str(config.hydra.runtime.choices[group]) for group in ("dataset", "scale"))
    asked = user(context, table, arguments)
    if asked.budget is not None:
        table = spec.parse({**node, "budget": asked.budget})
    config = cell_config(config)
    cells = table.cells(dataset, scale, asked.overrides, asked.seeds)
    composed = compose(context, config, cells)
    if table.budget == "equal":
        composed = compose(context, config, shared(composed))
    plan = {cell: _labelled(table, cell, experiment) for cell, experiment in composed.items()}
    check_metrics(table.metrics, plan)
    paths = next(iter(plan.values())).paths
    check_writable(paths.results)
    store = Store(paths.runs)
    made = {cell: experiment for cell, experiment in plan.items() if table.makes(cell)}
    if rest := {cell: experiment for cell, experiment in plan.items() if cell not in made}:
        take_published(store, rest, partly=True)
    broken = launch(context, config, store, made, table.name, partial(_news, table))
    outcomes = [_outcome(store, cell, plan, broken, cell in made) for cell in plan]
    warn_unlogged((o.record, o.experiment.logger) for o in outcomes if o.record and o.experiment)
    suffix = "" if table.budget == "own" else f"-{table.budget}"
    directory = paths.results / table.name / f"{dataset}-{scale}{suffix}"
    paper = compose(context, config, papers(table, dataset, scale, asked.overrides))
    budget = budgets(outcomes, {cell.row: experiment.attack for cell, experiment in paper.items()})
    show(render(table, dataset, scale, outcomes, store, directory, budget))
    print(f"{shown(directory)}/", flush=True)
    if failed := [store.root / outcome.id for outcome in outcomes if outcome.failure]:
        raise shortfall("\n".join(_complaint(store, outcomes)), failed)


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


def _news(table: Table, record: Record) -> str:
    """What to say of a finished run: its first metric with a value."""
    for name, metric in table.metrics.items():
        summary = record.summary.get(name)
        if summary:
            return f"{metric.title} {number(summary['mean'], metric.digits)}"
    return "done"


def _outcome(store: Store, cell: Cell, plan: Plan[Cell], broken: str | None, made: bool) -> Outcome:
    experiment = plan[cell]
    record, why = None, None
    try:
        record = answer(store, experiment) if made else so_far(store, experiment)
    except UserError as damage:
        why = str(damage)
    if record is None and made:
        why = why or failure(store.root / experiment.id) or broken or "it left no result"
    return Outcome(cell, experiment.id, experiment.config, record, why, experiment)


def _complaint(store: Store, outcomes: Sequence[Outcome]) -> Iterator[str]:
    """How many cells failed, why, and where a log is."""
    failed = [outcome for outcome in outcomes if outcome.failure]
    yield f"{len(failed)} of {len(outcomes)} cells have no result; the same command tries them again"
    yield from complaints(
        [
            (f"{each.cell.name}, seed {each.cell.seed}", str(each.failure), store.root / each.id)
            for each in failed
        ]
    )
