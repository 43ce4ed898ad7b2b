"""How a simulation is written down, and how much of it is."""

# Before pytorch_lightning:
from harness.machine.lightning import read_checkpoint, save_checkpoint  # isort: skip

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from harness.base import interruption
from harness.core import UserError

FROM_THE_START = "simulate from the first round"


class SimulationCheckpoint(pl.Callback):
    """Keep the state after the newest round, but write it down at most once in so many seconds.

    When it is written alters nothing but how much is done again after a kill.
    """

    def __init__(self, path: Path, every: float = 30.0) -> None:
        self.path, self.every, self.written = path, every, time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if interruption.requested() or time.monotonic() - self.written >= self.every:
            save_checkpoint(trainer, self.path)
            self.written = time.monotonic()


def finished_rounds(checkpoint: Path) -> int:
    """Rounds behind a checkpoint; 0 without one. Raises UserError when it is damaged."""
    if not checkpoint.exists():
        return 0
    state = read_checkpoint(checkpoint, FROM_THE_START)["state_dict"]
    if "finished" not in state:
        raise UserError(f"{checkpoint} is of no simulation: delete it to {FROM_THE_START}")
    return int(state["finished"])
