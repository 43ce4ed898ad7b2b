"""A victim's training with Lightning's Trainer."""

from harness.machine.lightning import quiet, trainer  # before pytorch_lightning  # isort: skip

from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from harness.base.progress import Bar, task
from harness.core import Classifier, Images, derive_seed, generator

Pairs = tuple[Tensor, Tensor]
JUDGED = 1000
"""Images that a trained model is judged by, for people to read."""


class Course(NamedTuple):
    """How a network is trained."""

    steps: int
    batch_size: int
    lr: float


class Minibatches(TorchDataset[Pairs]):
    """Minibatch k of the training: images [n, c, h, w] and classes [n], a function of the seed and k alone."""

    def __init__(self, course: Course, images: Images, seed: int) -> None:
        self.course, self.images, self.seed = course, images, seed

    def __len__(self) -> int:
        return self.course.steps

    def __getitem__(self, step: int) -> Pairs:
        size = len(self.images)
        rng = generator("victim", self.seed, step)
        return pairs(self.images, torch.randint(size, (min(self.course.batch_size, size),), generator=rng))


def pairs(images: Images, rows: Tensor) -> Pairs:
    """Some rows as tensors."""
    chosen = [images[row] for row in rows.tolist()]
    return torch.stack([x for x, _ in chosen]), torch.tensor([y for _, y in chosen])


class Victim(pl.LightningModule):
    """A classifier that learns by cross-entropy."""

    def __init__(self, lr: float, model: Classifier, batches: Minibatches) -> None:
        super().__init__()
        self.lr, self.model, self.batches = lr, model, batches

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.model.parameters(), lr=self.lr)

    def train_dataloader(self) -> DataLoader[Pairs]:
        """One epoch of the Trainer is the whole training."""
        return DataLoader(self.batches, batch_size=None)

    def training_step(self, batch: Pairs, batch_index: int) -> Tensor:
        x, y = batch
        return F.cross_entropy(self.model(x), y)


class VictimProgress(pl.Callback):
    """Move the bar at every step."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar

    def on_train_batch_end(self, *_: object) -> None:
        self.bar.advance("")


def train(
    course: Course, model: Classifier, images: Images, seed: int, device: torch.device, folder: Path
) -> None:
    """Train a model in place; it comes back in eval mode."""
    with quiet(), torch.random.fork_rng(devices=[]), task("model", course.steps) as bar:
        torch.manual_seed(derive_seed("victim", seed))  # for networks that draw, by dropout
        model.train().requires_grad_(True)
        trainer(device, [VictimProgress(bar)], 1, folder).fit(
            Victim(course.lr, model, Minibatches(course, images, seed))
        )
        model.eval()


@torch.no_grad()
def right(model: Classifier, images: Images) -> float:
    """The share of the first images that the model classifies rightly."""
    device = next(model.parameters()).device
    x, y = pairs(images, torch.arange(min(JUDGED, len(images))))
    return float((model(x.to(device)).argmax(1).cpu() == y).double().mean())
