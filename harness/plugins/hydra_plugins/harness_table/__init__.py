"""Hydra's sweeper for tables: `table=NAME`. Light, for Hydra imports every plugin before it can say --help."""

from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.types import HydraContext
from omegaconf import DictConfig

from harness.cells.sweeper import CellSweeper


@dataclass
class TableNode:
    """The keys of a table's YAML; harness.tables.spec.Table says what they mean and what they
    are where null, and validates them."""

    name: Any = None
    title: Any = None
    source: Any = None
    metrics: Any = None
    rows: Any = None
    columns: Any = None
    base: Any = None
    seeds: Any = None
    scales: Any = None
    reference: Any = None
    claims: Any = None
    notes: Any = None
    comparable: Any = None
    independent: Any = None
    budget: Any = None
    block: Any = None
    picture: Any = None
    only: Any = None
    supplements: Any = None
    plots: Any = None


@dataclass
class TableConf(TableNode):
    """The node `hydra.sweeper` of a table."""

    _target_: str = "hydra_plugins.harness_table.TableSweeper"
    _recursive_: bool = False
    """The components in a table are built, and their mistakes explained, where it is parsed."""


ConfigStore.instance().store(group="hydra/sweeper", name="table", node=TableConf, provider="harness")


@dataclass
class TableSweeper(TableNode, CellSweeper):
    """Expands a table into runs, has the configured launcher carry out what is missing, and renders it."""

    def make(self, context: HydraContext, config: DictConfig, arguments: list[str]) -> None:
        """Raises UserError before anything runs, CellsFailed when all is shown."""
        from harness.tables.sweep import sweep

        sweep(context, config, arguments)
