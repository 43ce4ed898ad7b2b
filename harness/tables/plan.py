"""What a command line says to a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import HydraContext

from harness.cells.plan import key, spread
from harness.core import UserError
from harness.tables.layout import Overrides
from harness.tables.spec import Table


@dataclass(frozen=True)
class Asked:
    """What a user asks of a table: overrides, seeds (None: the table's), and the budget of its rows (likewise)."""

    overrides: Overrides
    seeds: list[int] | None = None
    budget: str | None = None


def user(context: HydraContext, table: Table, arguments: Sequence[str]) -> Asked:
    """What the command line says.

    Raises UserError for a list of values of anything but `seed`, and for what every row or every column of
    the table sets, for then its rows or columns would all be the same.
    """
    kept: Overrides = []
    seeds: list[int] | None = None
    budget: str | None = None
    taken = _set_by_all(table.rows) | _set_by_all(table.columns)
    parser = OverridesParser.create(config_loader=context.config_loader)
    for override in parser.parse_overrides(list(arguments)):
        name, line = override.key_or_group, _single(override)
        if name in ("table", "dataset", "scale"):
            continue
        if name == "seed" and not override.is_delete():
            seeds = _seeds(override)
        elif name == "budget" and not override.is_sweep_override():
            budget = str(override.value())
        elif line is None:
            raise UserError(f"{override.input_line}: a table takes one value; only seed may be a list")
        elif name in taken:
            raise UserError(f"{line}: the rows and columns of {table.name} choose the {name}")
        else:
            kept.append(line)
    return Asked(kept, seeds, budget)


def _single(override: Override) -> str | None:
    """The override as it was given, that of a list of one value as its value; None: there are several."""
    if not override.is_sweep_override():
        return str(override.input_line)
    values = spread(override)
    return f"{override.get_key_element()}={values[0]}" if len(values) == 1 else None


def _seeds(override: Override) -> list[int]:
    several = override.is_sweep_override()
    try:
        return [int(str(v)) for v in (spread(override) if several else [override.value()])]
    except (TypeError, ValueError) as error:
        raise UserError(f"{override.input_line}: a seed is a whole number") from error


def _set_by_all(axis: Mapping[str, Overrides]) -> set[str]:
    """What every row (or every column) of a table sets."""
    return set.intersection(*({key(override) for override in overrides} for overrides in axis.values()))
