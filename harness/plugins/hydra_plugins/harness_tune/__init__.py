"""Hydra's sweeper for tunings: `tune=NAME`. Light, for Hydra imports every plugin before it can say --help."""

from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.types import HydraContext
from omegaconf import DictConfig

from harness.cells.sweeper import CellSweeper


@dataclass
class TuningNode:
    """The keys of a tuning's YAML; harness.tuning.spec.Tuning says what they mean and what they
    are where null, and validates them."""

    name: Any = None
    title: Any = None
    rows: Any = None
    base: Any = None
    metric: Any = None
    higher_is_better: Any = None
    candidates: Any = None
    at_once: Any = None
    scales: Any = None
    notes: Any = None


@dataclass
class TuningConf(TuningNode):
    """The node `hydra.sweeper` of a tuning."""

    _target_: str = "hydra_plugins.harness_tune.TuningSweeper"
    _recursive_: bool = False
    """Its mistakes are explained where it is parsed."""


ConfigStore.instance().store(group="hydra/sweeper", name="tune", node=TuningConf, provider="harness")


@dataclass
class TuningSweeper(TuningNode, CellSweeper):
    """Tries settings of every row, has the configured launcher carry them out, and shows the best."""

    def make(self, context: HydraContext, config: DictConfig, arguments: list[str]) -> None:
        """Raises UserError before anything runs, CellsFailed when all is shown."""
        from harness.tuning.tune import tune

        tune(context, config, arguments)
