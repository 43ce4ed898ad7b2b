"""Hydra's sweeper for tunings: `tune=NAME`. Light, for Hydra imports every plugin before it can say --help."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.types import HydraContext
from omegaconf import MISSING, DictConfig

from harness.cells.sweeper import CellSweeper


@dataclass
class TuningNode:
    """The keys of a tuning's YAML; harness.tuning.spec.Tuning says what they mean and validates them."""

    name: str = MISSING
    title: str = MISSING
    rows: Any = MISSING
    base: Any = field(default_factory=list)
    metric: str = "psnr_unit"
    higher_is_better: Any = None
    candidates: int = 24
    at_once: int = 4
    scales: Any = field(default_factory=dict)
    notes: Any = field(default_factory=dict)


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
