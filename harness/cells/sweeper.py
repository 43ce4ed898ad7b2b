"""What Hydra asks of a sweeper, for grids and tables alike. Light, for Hydra imports every plugin for --help."""

from abc import abstractmethod

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class CellSweeper(Sweeper):
    """Has the cells of a plan carried out that the store lacks. Hydra's own sweeper knows of no store, and ends at the
    first job that fails."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what `sweep` needs. A cell is no ordinary job: `task_function` is not used."""
        self.hydra_context, self.config = hydra_context, config

    def sweep(self, arguments: list[str]) -> None:
        """Make the whole. Raises UserError before anything runs, CellsFailed when all is shown."""
        if self.hydra_context is None or self.config is None:
            raise RuntimeError("a sweeper must be set up before it sweeps")
        self.make(self.hydra_context, self.config, arguments)

    @abstractmethod
    def make(self, context: HydraContext, config: DictConfig, arguments: list[str]) -> None:
        """Carry out what `config.hydra.sweeper` describes, with what the user has added to it."""
