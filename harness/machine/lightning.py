"""What every use of Lightning's Trainer has in common: one device, no chatter, nothing written but by us."""

from harness.machine import vision  # noqa: F401 - before pytorch_lightning  # isort: skip

import logging
import os
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from harness.base.errors import UserError


def trainer(
    device: torch.device, callbacks: Sequence[pl.Callback], epochs: int, directory: Path, reload: int = 0
) -> pl.Trainer:
    """A Trainer on one device; `reload`: ask for the data anew after so many epochs (0: never)."""
    return pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        plugins=[LightningEnvironment()],
        max_epochs=epochs,
        reload_dataloaders_every_n_epochs=reload,
        callbacks=list(callbacks),
        default_root_dir=str(directory),
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )


def save_checkpoint(trainer: pl.Trainer, path: Path) -> None:
    """Replace a checkpoint in one atomic step."""
    partial = path.with_suffix(".partial")
    trainer.save_checkpoint(partial)
    os.replace(partial, path)


KEYS = frozenset(
    {"state_dict", "optimizer_states", "lr_schedulers", "global_step", "pytorch-lightning_version"}
)
"""Without which a Trainer can't go on."""


def read_checkpoint(path: Path, then: str) -> dict[str, Any]:
    """What `save_checkpoint` has written, held against the checksums in it; `then`: what begins again without it.

    Raises UserError when it is damaged.
    """
    damaged = UserError(f"{path} is damaged: delete it to {then}")
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, EOFError, zipfile.BadZipFile, pickle.UnpicklingError) as error:
        raise damaged from error
    if broken or not isinstance(content, dict) or not content.keys() >= KEYS:
        raise damaged
    return content


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Lightning from announcing its devices and from advice that does not apply to data in memory."""
    log = logging.getLogger("pytorch_lightning")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")
            warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")
            warnings.filterwarnings("ignore", message=".*will run with no optimizer.*")
            warnings.filterwarnings("ignore", message=".*`srun` command is available.*")
            yield
    finally:
        log.setLevel(level)
