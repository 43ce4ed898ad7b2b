"""A data set of tiny images, of which only the public split may be read, and a prior that trains on it in a second."""

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from harness.core import Dataset, Images, Shape, Split, component
from harness.priors.wgan_gp import WGANGP


class Labelled(TensorDataset):
    @property
    def labels(self) -> Tensor:
        return self.tensors[1]


@component
class Stripes(Dataset):
    """Tiny images; only the public split may be read."""

    shift: int = 0

    @property
    def shape(self) -> Shape:
        return (1, 8, 8)

    @property
    def classes(self) -> tuple[str, ...]:
        return ("one", "two")

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return (0.5,), (0.5,)

    def load(self, split: Split, root: str | None) -> Images:
        assert split == "public"
        images = torch.rand(21, 1, 8, 8, generator=torch.Generator().manual_seed(self.shift))
        return Labelled(images, torch.arange(21) % 2)  # type: ignore[return-value]


def prior(**changes: object) -> WGANGP:
    """A prior that trains within a second."""
    settings = {"steps": 3, "latent": 4, "base": 8, "critic": 4, "batch_size": 8, "critic_steps": 2}
    return WGANGP(**{**settings, **changes})
