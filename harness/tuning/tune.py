"""Carry a tuning out: ask for candidates, launch what is missing from the store, and show which settings are best."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from harness.base.errors import CellsFailed
from harness.base.files import check_writable, shown
from harness.cells.launch import launch
from harness.cells.plan import cell_config, check_metrics, compose
from harness.cells.task import failure
from harness.config.execution import Label
from harness.config.experiment import Experiment
from harness.core import Record, UserError
from harness.runs.answers import answer
from harness.store.records import Store
from harness.tuning.render import Tried, render
from harness.tuning.spec import Candidate, Tuning, parse
from harness.tuning.study import Study, lots, own_settings
from harness.tuning.targets import set_apart


def tune(context: HydraContext, config: DictConfig, arguments: Sequence[str]) -> None:
    """Make the tuning that `config.hydra.sweeper` describes, and print where its best settings are.

    The store is its memory: what a candidate of the same settings has left there is not computed again. Raises
    UserError before anything runs, CellsFailed where a row has no candidate with a result.
    """
    described = parse(cast(dict[str, Any], OmegaConf.to_container(config.hydra.sweeper, resolve=True)))
    dataset, scale = (str(config.hydra.runtime.choices[group]) for group in ("dataset", "scale"))
    given, fixed = [f"dataset={dataset}", f"scale={scale}"], _fixed(context, arguments, described)
    bare = [described.candidate(row, 0, (), scale, given, fixed) for row in described.rows]
    rows = {each.row: experiment for each, experiment in compose(context, cell_config(config), bare).items()}
    check_metrics([described.metric], {each: rows[each.row] for each in bare})
    given.append(f"targets=[{','.join(map(str, set_apart(list(rows.values()))))}]")
    studies = {row: _study(described, row, experiment) for row, experiment in rows.items()}
    paths = next(iter(rows.values())).paths
    check_writable(paths.results)
    directory = paths.results / f"tune-{described.name}" / f"{dataset}-{scale}"
    store, tried = Store(paths.runs), dict[Candidate, Tried]()
    many = described.at(scale).candidates
    assert many is not None
    for lot in lots(many, described.at_once):
        asked = [
            described.candidate(row, *study.ask(), scale, given, fixed)
            for row, study in studies.items()
            for _ in range(lot)
        ]
        plan = {
            each: _labelled(described, each, experiment)
            for each, experiment in compose(context, cell_config(config), asked).items()
        }
        broken = launch(context, cell_config(config), store, plan, f"tune {described.name}", _news(described))
        for candidate, experiment in plan.items():
            found = _tried(store, experiment, described.metric, broken)
            studies[candidate.row].tell(candidate.number, found.value)
            tried[candidate] = found
        text = render(described, dataset, scale, many, tried, directory)
    print(f"{text}\n{shown(directory)}/", flush=True)
    if lost := [row for row in rows if all(t.value is None for c, t in tried.items() if c.row == row)]:
        why = next(t.why for c, t in tried.items() if c.row == lost[0])
        raise CellsFailed(f"{lost[0]}: no candidate has a result ({why})")


def _fixed(context: HydraContext, arguments: Sequence[str], described: Tuning) -> list[str]:
    """What the user sets for every candidate. Raises UserError for lists of values, and for what the rows choose."""
    found, chosen = [], described.chosen
    for override in OverridesParser.create(config_loader=context.config_loader).parse_overrides(
        list(arguments)
    ):
        if override.key_or_group in ("tune", "dataset", "scale"):
            continue
        if override.is_sweep_override():
            raise UserError(
                f"{override.input_line}: a tuning takes one value; its YAML says what is searched"
            )
        if (name := str(override.key_or_group)) in chosen:
            raise UserError(f"{override.input_line}: the rows of {described.name} choose the {name}")
        found.append(str(override.input_line))
    return found


def _study(described: Tuning, row: str, experiment: Experiment) -> Study:
    space = described.rows[row].space
    return Study(space, experiment.seed, described.ascending, own_settings(space, experiment.config, row))


def _labelled(described: Tuning, candidate: Candidate, experiment: Experiment) -> Experiment:
    group = f"tune-{described.name}"
    tags = [group, *(f"{name}={value}"[:64] for name, value in candidate.settings)]
    return replace(
        experiment, label=Label(group=group, job_type=candidate.row, name=candidate.name, tags=tags)
    )


def _tried(store: Store, experiment: Experiment, metric: str, broken: str | None) -> Tried:
    """What came of a candidate: the values of its images, or why there are none."""
    try:
        record = answer(store, experiment)
    except UserError as damage:
        return Tried(experiment.id, why=str(damage))
    if record is None:
        return Tried(experiment.id, why=failure(store.root / experiment.id) or broken or "it left no result")
    values = [float(value) for row in record.rows if (value := row.get(metric)) is not None]
    evaluations = [float(value) for row in record.rows if (value := row.get("evaluations")) is not None]
    if not values or not all(map(math.isfinite, values)):
        return Tried(experiment.id, why=f"an image has no {metric}")
    return Tried(experiment.id, tuple(values), sum(evaluations) / len(evaluations) if evaluations else None)


def _news(described: Tuning) -> Any:
    def tell(record: Record) -> str:
        found: Mapping[str, float] | None = record.summary.get(described.metric)
        return f"{described.metric} {found['mean']:.4g}" if found else "done"

    return tell
