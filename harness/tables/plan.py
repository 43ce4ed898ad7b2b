"""From a table and a command line to one validated experiment per cell."""

import copy
from collections.abc import Mapping, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from harness.config import Experiment, parse
from harness.core import UserError
from harness.errors import explain_composition
from harness.tables.spec import Cell, Overrides, Table, key

Plan = dict[Cell, Experiment]


def user(context: HydraContext, table: Table, arguments: Sequence[str]) -> tuple[Overrides, list[int] | None]:
    """The user's own overrides, and the seeds that they name (None: the table's).

    Raises UserError for a list of values of anything but `seed`, and for what every row or every column of
    the table sets, for then its rows or columns would all be the same.
    """
    kept: Overrides = []
    seeds: list[int] | None = None
    taken = _set_by_all(table.rows) | _set_by_all(table.columns)
    parser = OverridesParser.create(config_loader=context.config_loader)
    for override in parser.parse_overrides(list(arguments)):
        name, line = override.key_or_group, str(override.input_line)
        if name in ("table", "dataset", "scale"):
            continue
        if name == "seed" and not override.is_delete():
            seeds = _seeds(override)
        elif override.is_sweep_override():
            raise UserError(f"{line}: a table takes one value; only seed may be a list")
        elif name in taken:
            raise UserError(f"{line}: the rows and columns of {table.name} choose the {name}")
        else:
            kept.append(line)
    return kept, seeds


def _seeds(override: Override) -> list[int]:
    several = override.is_sweep_override()
    try:
        return [int(str(v)) for v in (override.sweep_string_iterator() if several else [override.value()])]
    except (TypeError, ValueError) as error:
        raise UserError(f"{override.input_line}: a seed is a whole number") from error


def _set_by_all(axis: Mapping[str, Overrides]) -> set[str]:
    """What every row (or every column) of a table sets."""
    return set.intersection(*({key(override) for override in overrides} for overrides in axis.values()))


def cell_config(config: DictConfig) -> DictConfig:
    """The configuration from which cells are composed: without overrides of the sweeper, which a cell lacks."""
    clean = copy.deepcopy(config)
    with read_write(clean), open_dict(clean):
        given = clean.hydra.overrides.hydra
        clean.hydra.overrides.hydra = [
            o for o in given if not key(o).replace("/", ".").startswith("hydra.sweeper")
        ]
    return clean


def compose(context: HydraContext, config: DictConfig, cells: Sequence[Cell]) -> Plan:
    """Compose and validate every cell. Raises UserError, naming the cell, for the first that is wrong."""
    return {cell: _experiment(context, config, cell) for cell in cells}


def _experiment(context: HydraContext, config: DictConfig, cell: Cell) -> Experiment:
    try:
        return parse(context.config_loader.load_sweep_config(config, list(cell.overrides)))
    except UserError as error:
        raise UserError(f"{cell.name}: {error}") from error
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(f"{cell.name}: {explain_composition(error)}") from error


def check_data(plan: Plan) -> None:
    """Load every data set of the plan once: missing files are an error before anything runs."""
    for dataset, root in {
        (repr(e.dataset), e.data.root): (e.dataset, e.data.root) for e in plan.values()
    }.values():
        dataset.load("attack", root)
