"""From cells to one validated experiment each."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from hydra.core.override_parser.types import Override, RangeSweep
from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from harness.base.complaints import explain_composition
from harness.base.errors import nearest, shortened
from harness.cells.composer import Composer
from harness.config.experiment import Experiment
from harness.core import UserError
from harness.core.columns import EVERYWHERE
from harness.runs.choice import choose


class PlannedCell(Protocol):
    """One run of many: what people call it, and the overrides that make it."""

    @property
    def name(self) -> str: ...

    @property
    def overrides(self) -> tuple[str, ...]: ...


MOST = 100_000
"""Runs of one command."""

AnyCell = TypeVar("AnyCell", bound=PlannedCell)
Plan = Mapping[AnyCell, Experiment]


def spread(override: Override) -> list[str]:
    """The values of an override that has several. Raises UserError where they are more than a command has runs."""
    value = override.value()
    if isinstance(value, RangeSweep):
        steps = (float(value.stop or 0) - float(value.start or 0)) / (float(value.step or 0) or 1)
        if not abs(steps) <= MOST:
            raise UserError(f"{shortened(override.input_line)}: a command carries out {MOST:,} runs at most")
    return list(override.sweep_string_iterator())


def key(override: str) -> str:
    """What an override sets: `attack.steps` of `attack.steps=3`."""
    return override.partition("=")[0].lstrip("+~")


def latest(overrides: Sequence[str]) -> tuple[str, ...]:
    """Of the overrides that set the same thing, the last."""
    last = {key(override): place for place, override in enumerate(overrides)}
    return tuple(overrides[place] for place in sorted(last.values()))


def cell_config(config: DictConfig) -> DictConfig:
    """The configuration from which cells are composed: without overrides of the sweeper, which a cell lacks."""
    clean = copy.deepcopy(config)
    with read_write(clean), open_dict(clean):
        given = clean.hydra.overrides.hydra
        clean.hydra.overrides.hydra = [
            o for o in given if not key(o).replace("/", ".").startswith("hydra.sweeper")
        ]
    return clean


def compose(context: HydraContext, config: DictConfig, cells: Iterable[AnyCell]) -> dict[AnyCell, Experiment]:
    """Compose and validate every cell. Raises UserError, naming the cell, for the first that is wrong."""
    composer = Composer(context, config)
    return {cell: _explained(cell, composer) for cell in cells}


def _explained(cell: PlannedCell, composer: Composer) -> Experiment:
    try:
        return composer(cell.overrides)
    except UserError as error:
        raise UserError(f"{cell.name}: {error}") from error
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(f"{cell.name}: {explain_composition(error)}") from error


def check_data(plan: Plan[AnyCell]) -> None:
    """Hold every cell against its data: what is missing, or asks for too much, is an error before anything runs.

    Raises UserError, naming the cell.
    """
    checked: set[str] = set()
    for cell, experiment in plan.items():
        dataset, prior, root = experiment.dataset, experiment.prior, experiment.data.root
        try:
            images = dataset.load("attack", root)
            if not experiment.fl.in_rounds:  # rounds choose their victims themselves
                choose(experiment, images)
            if experiment.attack.requires_prior and repr((prior, dataset)) not in checked:
                prior.check(dataset, root)
                checked.add(repr((prior, dataset)))
        except UserError as error:
            raise UserError(f"{cell.name}: {error}") from error


def check_metrics(names: Iterable[str], plan: Plan[AnyCell]) -> None:
    """Raises UserError for a column that no run of a plan will have, before anything is computed."""
    known = EVERYWHERE.union(*(experiment.metric.metrics for experiment in plan.values()))
    for name in names:
        if name not in known:
            raise UserError(f"metrics: no run measures {shortened(name)}{nearest(str(name), known)}")
