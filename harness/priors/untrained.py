"""The control: a generator that has seen no data."""

from typing import Literal

import torch

from harness.base.numbers import Width
from harness.core import Dataset, Prior, Split, component, derive_seed, generator
from harness.priors.networks import ConvolutionalGenerator, estimate_statistics


@component
class Untrained(Prior):
    """The architecture of a trained prior with random weights (the control of Zhu et al. 2024, figure 47).

    Batch-normalisation statistics are estimated as for a trained generator: training alone is missing.
    """

    latent: Width = 128
    base: Width = 512
    kernel: Literal[2, 4] = 2

    @property
    def reads(self) -> frozenset[Split]:
        return frozenset()

    def check(self, dataset: Dataset, root: str | None) -> None:
        initial_generator(dataset, self.latent, self.base, self.kernel, seed=0)

    def generator(self, dataset: Dataset, root: str | None, cache: str, seed: int) -> ConvolutionalGenerator:
        """PyTorch's default initialisation under `seed`; neither the data nor the cache are touched."""
        network = initial_generator(dataset, self.latent, self.base, self.kernel, seed)
        estimate_statistics(network, generator("prior statistics", seed))
        return network.requires_grad_(False)


def initial_generator(
    dataset: Dataset, latent: int, base: int, kernel: int, seed: int
) -> ConvolutionalGenerator:
    """A generator before training: the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("prior weights", seed))
        return ConvolutionalGenerator(dataset.shape, latent, base, kernel)
