"""Hydra's sweeper for grids: a multirun, or `sweep=NAME`. Light, for Hydra imports every plugin for --help."""

from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.types import HydraContext
from omegaconf import DictConfig

from harness.cells.sweeper import CellSweeper


@dataclass
class GridNode:
    """The keys of a sweep's YAML; harness.sweeps.spec.Sweep says what they mean and what they
    are where null, and validates them."""

    name: Any = None
    title: Any = None
    base: Any = None
    grid: Any = None
    variants: Any = None
    where: Any = None
    additions: Any = None
    scales: Any = None
    metrics: Any = None
    each: Any = None
    plots: Any = None
    notes: Any = None


@dataclass
class GridConf(GridNode):
    """The node `hydra.sweeper` of a multirun."""

    _target_: str = "hydra_plugins.harness_grid.GridSweeper"
    _recursive_: bool = False
    """The components in a sweep are built, and their mistakes explained, where it is parsed."""


ConfigStore.instance().store(group="hydra/sweeper", name="grid", node=GridConf, provider="harness")


@dataclass
class GridSweeper(GridNode, CellSweeper):
    """Expands a grid into runs, has the configured launcher carry out what is missing, and draws the plots."""

    def make(self, context: HydraContext, config: DictConfig, arguments: list[str]) -> None:
        """Raises UserError before anything runs, CellsFailed when all is shown."""
        from harness.sweeps.sweep import sweep

        sweep(context, config, arguments)
