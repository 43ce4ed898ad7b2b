"""How far a generator's images are from real ones, as a classifier sees both."""

import torch
from torch import Tensor

from harness.core import Classifier, Generator, Params, generator
from harness.models.head import head_input

AT_ONCE = 500


def frechet(one: Tensor, other: Tensor) -> float:
    """|m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)) of features [n, d] and [m, d] (Heusel et al. 2017, equation 6).

    From few images it is too large: compare only numbers of as many.
    """
    first, second = one.double(), other.double()
    root = _root(torch.cov(first.T))
    crossed = torch.linalg.eigvalsh(root @ torch.cov(second.T) @ root).clamp(min=0).sqrt().sum()
    spread = first.var(0).sum() + second.var(0).sum()
    return float((first.mean(0) - second.mean(0)).square().sum() + spread - 2 * crossed)


def _root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = vectors * values.clamp(min=0).sqrt() @ vectors.T
    return root


@torch.no_grad()
def features(judge: Classifier, images: Tensor) -> Tensor:
    """What the judge's head sees of images [n, c, h, w]: [n, d]."""
    params: Params = dict(judge.named_parameters())
    return torch.cat([head_input(judge, params, part) for part in images.split(AT_ONCE)])


@torch.no_grad()
def samples(network: Generator, count: int, classes: int) -> Tensor:
    """So many images of a generator, always the same: z ~ N(0, I), classes in turn."""
    z = torch.randn(count, network.latent, generator=generator("prior quality"))
    y = torch.arange(count) % classes
    parts = zip(z.split(AT_ONCE), y.split(AT_ONCE), strict=True)
    return torch.cat([network(*part) for part in parts])
