"""A victim's training with Lightning's Trainer."""

from harness.machine.lightning import quiet, trainer  # before pytorch_lightning  # isort: skip

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from harness.base.progress import Bar, task
from harness.core import Classifier, Images, derive_seed, generator
from harness.models.training import Training

Pairs = tuple[Tensor, Tensor]
JUDGED = 1000
"""Images that a trained model is judged by, for people to read."""


class Minibatches(TorchDataset[Pairs]):
    """Minibatch k of the training: images [n, c, h, w] and classes [n], a function of the seed and k alone."""

    def __init__(self, training: Training, images: Images, seed: int) -> None:
        self.training, self.images, self.seed = training, images, seed

    def __len__(self) -> int:
        return self.training.steps

    def __getitem__(self, step: int) -> Pairs:
        size = len(self.images)
        rng = generator("victim", self.seed, step)
        return pairs(self.images, torch.randint(size, (min(self.training.batch_size, size),), generator=rng))


def pairs(images: Images, rows: Tensor) -> Pairs:
    """Some rows as tensors."""
    chosen = [images[row] for row in rows.tolist()]
    return torch.stack([x for x, _ in chosen]), torch.tensor([y for _, y in chosen])


class Victim(pl.LightningModule):
    """A classifier that learns by cross-entropy."""

    def __init__(self, training: Training, model: Classifier, batches: Minibatches) -> None:
        super().__init__()
        self.training_setting, self.model, self.batches = training, model, batches

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.model.parameters(), lr=self.training_setting.lr)

    def train_dataloader(self) -> DataLoader[Pairs]:
        """One epoch of the Trainer is the whole training."""
        return DataLoader(self.batches, batch_size=None)

    def training_step(self, batch: Pairs, batch_index: int) -> Tensor:
        x, y = batch
        return F.cross_entropy(self.model(x), y)


class Progress(pl.Callback):
    """Move the bar at every step."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar

    def on_train_batch_end(self, *_: object) -> None:
        self.bar.advance("")


def train(
    training: Training, model: Classifier, images: Images, seed: int, device: torch.device, folder: Path
) -> None:
    """Train a model in place; it comes back in eval mode."""
    with quiet(), torch.random.fork_rng(devices=[]), task("model", training.steps) as bar:
        torch.manual_seed(derive_seed("victim", seed))  # for networks that draw, by dropout
        model.train().requires_grad_(True)
        trainer(device, [Progress(bar)], 1, folder).fit(
            Victim(training, model, Minibatches(training, images, seed))
        )
        model.eval()


@torch.no_grad()
def right(model: Classifier, images: Images) -> float:
    """The share of the first images that the model classifies rightly."""
    device = next(model.parameters()).device
    x, y = pairs(images, torch.arange(min(JUDGED, len(images))))
    return float((model(x.to(device)).argmax(1).cpu() == y).double().mean())
