"""A generator trained against a Wasserstein critic on public images."""

import sys
from math import prod
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from harness.base.numbers import Count, Natural, NonNegative, Positive, ProperFraction, Steps, Width
from harness.base.threat import Need
from harness.core import Dataset, Images, Prior, UserError, component, generator
from harness.identity.identity import canonical
from harness.machine import vision
from harness.priors.networks import ConvolutionalGenerator, estimate_statistics
from harness.priors.untrained import initial_generator
from harness.store.cache import Entry, digest, finite

Shown = Images | Subset[tuple[Tensor, int]]
"""What a generator is trained on: a whole split, or what is left of it."""
BATCH = 512
MAX_BYTES = 2**34
"""Public images are kept in memory, a byte for each of their numbers."""


@component
class WGANGP(Prior):
    """Wasserstein GAN with gradient penalty (Gulrajani et al. 2017); the defaults are those of Li et al. 2022.

    Trains on the public split alone, goes on where a killed training stopped, and is kept in the cache.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.GENERATOR})
    steps: Steps = 50_860
    """Steps of the generator; 100 epochs of CelebA are 162 770 // 64 = 2543 batches * 100 / 5 = 50 860."""
    latent: Width = 128
    """Length of z ~ N(0, I)."""
    base: Width = 512
    """Channels of the generator's first, smallest map; halved at every doubling of the sides."""
    kernel: Literal[2, 4] = 2
    """Side of the transposed convolutions; 4 leaves no block edges."""
    critic: Width = 128
    """Channels of the critic's first layer; doubled at every halving of the sides."""
    lr: Positive = 1e-4
    """Learning rate of Adam, for both networks."""
    betas: tuple[ProperFraction, ProperFraction] = (0.5, 0.999)
    penalty: NonNegative = 10.0
    """Weight of the gradient penalty, lambda."""
    batch_size: Count = 64
    critic_steps: Steps = 5
    """Steps of the critic to each of the generator, which reuses the last z."""
    ema: ProperFraction = 0.0
    """Decay of the average of the generator's weights that is kept; 0 keeps the last, as the paper."""
    withheld: Natural | None = None
    """A class, by its number, of which it is shown no image: images outside its data (the paper's Figure 8)."""

    def check(self, dataset: Dataset, root: str | None) -> None:
        public_split(dataset, root, self.withheld)
        initial_generator(dataset, self.latent, self.base, self.kernel, seed=0)

    def at_hand(self, dataset: Dataset, root: str | None, cache: str, seed: int) -> bool:
        return self._entry(dataset, public_images(dataset, root, self.withheld), cache, seed).weights.exists()

    def generator(self, dataset: Dataset, root: str | None, cache: str, seed: int) -> ConvolutionalGenerator:
        """The generator from the cache, trained first if it is not there; on the CPU, weights frozen."""
        images = public_images(dataset, root, self.withheld)
        entry = self._entry(dataset, images, cache, seed)
        network = initial_generator(dataset, self.latent, self.base, self.kernel, seed)
        entry.fill(network, lambda: self._train(network, dataset, images, entry, seed))
        return network.eval().requires_grad_(False)

    def _entry(self, dataset: Dataset, images: Tensor, cache: str, seed: int) -> Entry:
        identity = {
            "prior": canonical(self),
            "dataset": canonical(dataset),
            "public images": digest(images),
            "seed": seed,
        }
        return Entry.of(cache, type(self).__name__, identity)

    def _train(
        self, network: ConvolutionalGenerator, dataset: Dataset, images: Tensor, entry: Entry, seed: int
    ) -> None:
        from harness.priors.training import train

        source = f"{len(images):,} public images of {type(dataset).__name__}"
        source += "" if self.withheld is None else f" without class {dataset.classes[self.withheld]}"
        print(f"prior: training {entry.folder.name} on {source}", file=sys.stderr, flush=True)
        train(self, network, images, seed, entry.checkpoint)
        estimate_statistics(network, generator("prior statistics", seed))
        if not finite(network):
            raise UserError(f"the prior's training diverged: lower prior.lr, and delete {entry.folder}")
        entry.save(network)
        save_samples(network, entry)


def public_split(dataset: Dataset, root: str | None, withheld: int | None = None) -> Shown:
    """The public images less the withheld class. Raises UserError when there are none, or too many for memory."""
    split = dataset.load("public", root)
    name, count = type(dataset).__name__, len(split)
    if count == 0:
        raise UserError(f"{name} has no public images to train a prior on")
    if count * prod(dataset.shape) > MAX_BYTES:
        raise UserError(f"{name} has too many public images for memory: lower dataset.public_fraction")
    return split if withheld is None else _without(withheld, split, dataset.classes)


def _without(withheld: int, split: Images, classes: tuple[str, ...]) -> Shown:
    """The images of all other classes. Raises UserError where nothing would be withheld, or everything."""
    kept = torch.nonzero(split.labels != withheld).flatten().tolist()
    if len(kept) in (0, len(split)):
        which = "no public image is" if kept else "all public images are"
        raise UserError(f"prior.withheld={withheld}: {which} of that class, of 0 to {len(classes) - 1}")
    return Subset(split, kept)


def public_images(dataset: Dataset, root: str | None, withheld: int | None = None) -> Tensor:
    """As `public_split`, as one tensor [n, c, h, w] of bytes. Raises UserError when it is empty or too large."""
    split = public_split(dataset, root, withheld)
    images = torch.empty(len(split), *dataset.shape, dtype=torch.uint8)
    # a loader without a generator of its own would draw from the global one
    loader = DataLoader(split, batch_size=BATCH, generator=torch.Generator())
    for place, (batch, _) in zip(images.split(BATCH), loader, strict=True):
        place.copy_((batch * 255).round())
    return images


def save_samples(network: ConvolutionalGenerator, entry: Entry) -> None:
    """An 8x8 grid of samples beside the weights, for people to look at."""
    vision.declare_operators()
    from torchvision.utils import save_image

    z = torch.randn(64, network.latent, generator=generator("prior samples"))
    with torch.no_grad():
        save_image(network(z), entry.folder / "samples.png")
