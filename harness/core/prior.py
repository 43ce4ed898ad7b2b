"""Generators of images, which an attacker may have."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from harness.base.component import Component, Split, component
from harness.base.numbers import Steps
from harness.core.dataset import Dataset


class Generator(nn.Module, ABC):
    """A prior's generator: latent vectors z [n, latent] (and classes y [n]) to images in [0, 1]."""

    latent: int

    @abstractmethod
    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Images [n, c, h, w] in [0, 1]. Generators without classes ignore y."""


@component
class Prior(Component, ABC):
    """A generative prior: how a generator is trained on, or loaded for, a data set."""

    steps: Steps = 1

    @property
    def reads(self) -> frozenset[Split]:
        return frozenset({"public"})

    def check(self, dataset: Dataset, root: str | None) -> None:
        """Raises UserError now, rather than when the first attack asks for it, where there can't be a generator."""
        return

    def at_hand(self, dataset: Dataset, root: str | None, cache: str, seed: int) -> bool:
        """Whether `generator` need not train first."""
        return True

    @abstractmethod
    def generator(self, dataset: Dataset, root: str | None, cache: str, seed: int) -> Generator | None:
        """The generator in eval mode, from the cache where it is there. None: no prior."""
