"""Hydra's sweeper for tables: `table=NAME`. Light, for Hydra imports every plugin before it can say --help."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.types import HydraContext
from omegaconf import MISSING, DictConfig

from harness.cells.sweeper import CellSweeper


@dataclass
class TableNode:
    """The keys of a table's YAML; harness.tables.spec.Table says what they mean and validates them."""

    name: str = MISSING
    title: str = MISSING
    source: str = MISSING
    metrics: Any = MISSING
    rows: Any = MISSING
    columns: Any = MISSING
    base: Any = field(default_factory=list)
    seeds: Any = field(default_factory=lambda: [0])
    scales: Any = field(default_factory=dict)
    reference: Any = None
    claims: Any = field(default_factory=list)
    notes: Any = field(default_factory=dict)
    comparable: bool = True
    independent: str = "image"
    budget: str = "own"
    block: int = 50
    picture: str | None = None
    supplements: Any = field(default_factory=list)
    plots: Any = field(default_factory=list)


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
