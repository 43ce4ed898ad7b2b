"""WGAN-GP with Lightning's Trainer: manual optimisation, resumable to the exact step."""

# Before pytorch_lightning:
from harness.machine.lightning import quiet, read_checkpoint, save_checkpoint, trainer  # isort: skip

import sys
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from torch.utils.data import Dataset as TorchDataset

from harness.base import interruption
from harness.base.progress import Bar, task
from harness.core import derive_seed, generator
from harness.priors.networks import ConvolutionalGenerator, critic

CHECKPOINT_EVERY = 100
"""Steps of the generator between two checkpoints; one "epoch" of the Trainer. Does not alter the result."""
Draw = tuple[int, Tensor, Tensor, Tensor]


class Settings(Protocol):
    """What `WGANGP` says of each."""

    @property
    def steps(self) -> int: ...

    @property
    def latent(self) -> int: ...

    @property
    def critic(self) -> int: ...

    @property
    def critic_steps(self) -> int: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def lr(self) -> float: ...

    @property
    def betas(self) -> tuple[float, float]: ...

    @property
    def penalty(self) -> float: ...

    @property
    def ema(self) -> float: ...


class Draws(TorchDataset[Draw]):
    """What step k of the training draws: a function of the seed and k alone, so that it can go on anywhere.

    A draw is (k, images [critic_steps, n, c, h, w] in [-1, 1], latent vectors [critic_steps, n, latent] and
    mixing weights [critic_steps, n, 1, 1, 1] for the penalty). Every pass over the images has its own order.
    """

    def __init__(self, prior: Settings, images: Tensor, seed: int) -> None:
        self.prior, self.images, self.seed = prior, images, seed
        self.order = lru_cache(maxsize=2)(self._order)

    def _order(self, epoch: int) -> Tensor:
        return torch.randperm(len(self.images), generator=generator("prior order", self.seed, epoch))

    def __len__(self) -> int:
        return self.prior.steps

    def __getitem__(self, step: int) -> Draw:
        groups, n, size = self.prior.critic_steps, self.prior.batch_size, len(self.images)
        first, last = step * groups * n, (step + 1) * groups * n
        epochs = range(first // size, -(-last // size))
        index = torch.cat([self.order(epoch) for epoch in epochs])[first - epochs.start * size :][
            : groups * n
        ]
        rng = generator("prior draw", self.seed, step)
        images = self.images[index].view(groups, n, *self.images.shape[1:]) / 127.5 - 1
        latent = torch.randn(groups, n, self.prior.latent, generator=rng)
        return step, images, latent, torch.rand(groups, n, 1, 1, 1, generator=rng)


class Adversaries(pl.LightningModule):
    """Generator against critic. `average` is the generator that is kept."""

    def __init__(
        self, prior: Settings, network: ConvolutionalGenerator, draws: Draws, critic: nn.Module
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.prior, self.draws = prior, draws
        self.network, self.critic, self.average = network, critic, deepcopy(network).requires_grad_(False)
        self.distance = torch.zeros(())

    def configure_optimizers(self) -> Any:
        lr, betas = self.prior.lr, self.prior.betas
        return [torch.optim.Adam(m.parameters(), lr=lr, betas=betas) for m in (self.network, self.critic)]

    def train_dataloader(self) -> DataLoader[Draw]:
        """The steps of one epoch of the Trainer."""
        start = self.current_epoch * CHECKPOINT_EVERY
        steps = range(start, min(start + CHECKPOINT_EVERY, len(self.draws)))
        return DataLoader(Subset(self.draws, steps), batch_size=None)

    def training_step(self, batch: Draw, batch_index: int) -> None:
        """Some steps of the critic, then one of the generator on the last of their fakes."""
        step, images, latent, mix = batch
        optimizers = self.optimizers()
        assert isinstance(optimizers, list)
        generator_optimizer, critic_optimizer = optimizers
        self.critic.requires_grad_(True)
        for i in range(self.prior.critic_steps):
            with torch.set_grad_enabled(i == self.prior.critic_steps - 1):
                fake = self.network.network(latent[i])
            self._descend(critic_optimizer, self.critic_loss(images[i], fake.detach(), mix[i]))
        self.critic.requires_grad_(False)
        self._descend(generator_optimizer, -self.critic(fake).mean())
        self._average(step)

    def critic_loss(self, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
        """-W + lambda * (||grad critic|| - 1)^2 at random mixtures (Gulrajani et al. 2017, equation 3)."""
        real_score, fake_score = self.critic(torch.cat([real, fake])).chunk(2)
        distance = real_score.mean() - fake_score.mean()
        self.distance = distance.detach()
        mixed = torch.lerp(fake, real, mix).requires_grad_(True)
        (gradient,) = torch.autograd.grad(self.critic(mixed).sum(), mixed, create_graph=True)
        loss: Tensor = self.prior.penalty * (gradient.flatten(1).norm(dim=1) - 1).square().mean() - distance
        return loss

    def _descend(self, optimizer: Any, loss: Tensor) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()

    @torch.no_grad()
    def _average(self, step: int) -> None:
        """The decay grows into its value, or the random first weights would stay in the average for long."""
        decay = min(self.prior.ema, (1 + step) / (10 + step))
        for kept, weight in zip(self.average.parameters(), self.network.parameters(), strict=True):
            kept.lerp_(weight, 1 - decay)


class GeneratorCheckpoint(pl.Callback):
    """After every epoch of the Trainer, replace the checkpoint in one atomic step."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        save_checkpoint(trainer, self.path)


class GeneratorProgress(pl.Callback):
    """Move the bar at every step of the generator, and say at times how far apart the two distributions are."""

    def __init__(self, bar: Bar) -> None:
        self.bar, self.postfix = bar, ""

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Draw, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, Adversaries)
        interruption.check()  # the next start goes on from the last checkpoint
        if batch_idx % 20 == 0:  # reading the number makes a GPU wait
            self.postfix = f"Wasserstein estimate {float(pl_module.distance):.1f}"
        self.bar.advance(self.postfix)


def train(
    prior: Settings, network: ConvolutionalGenerator, images: Tensor, seed: int, checkpoint: Path
) -> None:
    """Train `network` in place on bytes [n, c, h, w], from the checkpoint where there is one."""
    channels, height, width = images.shape[1:]
    done = finished_steps(checkpoint, prior)
    with quiet(), torch.random.fork_rng(devices=[]), task("prior", prior.steps, done) as bar:
        torch.manual_seed(derive_seed("prior critic", seed))
        opponent = critic((channels, height, width), prior.critic)
        module = Adversaries(prior, network, Draws(prior, images, seed), opponent)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        callbacks, epochs = (
            [GeneratorCheckpoint(checkpoint), GeneratorProgress(bar)],
            -(-prior.steps // CHECKPOINT_EVERY),
        )
        fitting = trainer(device, callbacks, epochs, checkpoint.parent, reload=1)
        try:
            fitting.fit(module, ckpt_path=checkpoint if done else None, weights_only=True)
        except SystemExit as error:  # what Lightning makes of a KeyboardInterrupt
            raise KeyboardInterrupt from error
    network.load_state_dict(module.average.state_dict())


def finished_steps(checkpoint: Path, prior: Settings) -> int:
    """Steps of the generator behind a checkpoint; 0 without one. Raises UserError when it is damaged."""
    if not checkpoint.exists():
        return 0
    steps = int(read_checkpoint(checkpoint, "train the prior from the start")["global_step"])
    done = steps // (prior.critic_steps + 1)  # it counts the steps of both optimisers
    print(f"prior: going on from step {done:,} of {prior.steps:,}", file=sys.stderr, flush=True)
    return done
