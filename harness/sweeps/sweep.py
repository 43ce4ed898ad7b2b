"""Carry a sweep out: compose every point, launch what is missing from the store, show what there is."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from harness.base.files import check_writable, shown
from harness.base.progress import say
from harness.cells.launch import launch
from harness.cells.plan import Plan, cell_config, check_metrics, compose
from harness.cells.task import complaints, failure, shortfall
from harness.config.execution import Label
from harness.config.experiment import Experiment
from harness.core import Record, UserError
from harness.runs.answers import answer
from harness.store.records import Store
from harness.sweeps.plan import user
from harness.sweeps.render import overview, render
from harness.sweeps.spec import Point, Sweep, parse

AD_HOC = "multirun"
"""What a progress bar calls a sweep without a name."""
METRICS = ("psnr_unit", "ssim", "lpips_vgg", "success", "label_correct", "label_accuracy")
"""What is told of it at the end, where it was measured."""


def sweep(context: HydraContext, config: DictConfig, arguments: Sequence[str]) -> None:
    """Make the sweep that `config.hydra.sweeper` describes, and print the directory of its plots, or of its runs.

    Raises UserError if a point can't be composed or its data are missing, before anything runs, or if mistakes of
    the user's are all that failed; else CellsFailed, when all is shown, if a point has no result.
    """
    described = parse(cast(dict[str, Any], OmegaConf.to_container(config.hydra.sweeper, resolve=True)))
    dataset, scale = (str(config.hydra.runtime.choices[group]) for group in ("dataset", "scale"))
    axes, fixed = user(context, described, arguments, scale)
    given = [f"dataset={dataset}", f"scale={scale}"] if described.name else []
    points = described.points(scale, given, axes, fixed)
    plan = {
        point: _labelled(described, point, experiment)
        for point, experiment in compose(context, cell_config(config), points).items()
    }
    check_metrics(described.metrics, plan)
    paths = next(iter(plan.values())).paths
    if described.name:
        check_writable(paths.results)
    store = Store(paths.runs)
    broken = launch(context, cell_config(config), store, plan, described.name or AD_HOC, _news)
    failures = _failures(store, plan, broken)
    if described.name:
        directory = paths.results / described.name / f"{dataset}-{scale}"
        print(render(described, dataset, scale, plan, failures, store, directory))
        print(f"{shown(directory)}/", flush=True)
    else:
        for identity in dict.fromkeys(plan[point].id for point in plan if point not in failures):
            print(f"{shown(store.root / identity)}/", flush=True)
        if told := overview(METRICS, plan, failures, store):
            say(told)
    _complain(store, plan, failures)


def _labelled(sweep: Sweep, point: Point, experiment: Experiment) -> Experiment:
    """The experiment of a point, with what loggers call it unless the user gave names."""
    given = experiment.label
    tags = [sweep.name, *(f"{name}={value}"[:64] for name, value in point.values)] if sweep.name else []
    label = Label(
        group=given.group or sweep.name,
        job_type=given.job_type or experiment.choices["attack"],
        name=given.name or point.name,
        tags=[*given.tags, *(tag for tag in tags if tag)],
    )
    return replace(experiment, label=label)


def _news(record: Record) -> str:
    """What to say of a finished run."""
    found = record.summary.get("psnr_unit")
    return f"PSNR {found['mean']:.2f} dB" if found else "done"


def _failures(store: Store, plan: Plan[Point], broken: str | None) -> dict[Point, str]:
    """Of every point without a result, why."""
    found = {point: _failure(store, experiment, broken) for point, experiment in plan.items()}
    return {point: why for point, why in found.items() if why is not None}


def _failure(store: Store, experiment: Experiment, broken: str | None) -> str | None:
    try:
        if answer(store, experiment) is not None:
            return None
    except UserError as damage:
        return str(damage)
    return failure(store.root / experiment.id) or broken or "it left no result"


def _complain(store: Store, plan: Plan[Point], failures: Mapping[Point, str]) -> None:
    """Raise what says how many runs failed, and why; a mistake of the user's is told apart from a failure."""
    if not failures:
        return
    said = [(point.name, why, store.root / plan[point].id) for point, why in failures.items()]
    first = f"{len(failures)} of {len(plan)} runs have no result; the same command tries them again"
    raise shortfall("\n".join([first, *complaints(said)]), [directory for *_, directory in said])
