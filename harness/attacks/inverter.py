"""A network from updates to images, and its training."""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from harness.base import interruption
from harness.base.progress import task
from harness.core import Batch, Images, Observation, Params, Shape, generator

Compression = Literal["none", "projection", "hash"]
TOGETHER = 64
"""Public updates that are computed at once."""


class Pairs(NamedTuple):
    """Public updates, compressed [k, features], and the images behind each [k, n, c, h, w]."""

    features: Tensor
    images: Tensor


class Inverter(nn.Module):
    """Compressed updates [k, features], standardised, through two hidden layers to images [k, n, c, h, w] in [0, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, features: int, hidden: int, images: int, shape: Shape) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))
        channels, height, width = shape
        self.network = nn.Sequential(
            nn.Linear(features, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, images * channels * height * width),
            nn.Sigmoid(),
            nn.Unflatten(1, (images, *shape)),
        )

    def forward(self, features: Tensor) -> Tensor:
        images: Tensor = self.network((features - self.mean) / self.std)
        return images


def compressor(kind: Compression, size: int, features: int, like: Tensor) -> Callable[[Tensor], Tensor]:
    """A map [..., size] to [..., features], the same for ever: all numbers, a Gaussian projection, or sums by bins.

    Bins are drawn for each number of an update (Wu et al. 2023, code); a projection has N(0, 1 / features) entries.
    """
    rng = generator("compressed update", size, features)
    if kind == "none":
        return lambda flat: flat
    if kind == "projection":
        matrix = torch.randn(size, features, generator=rng).to(like) / features**0.5
        return lambda flat: flat @ matrix
    bins = torch.randint(features, (size,), generator=rng).to(like.device)
    return lambda flat: flat.new_zeros(*flat.shape[:-1], features).index_add(-1, bins, flat)


def flattened(update: Params, lead: int = 0) -> Tensor:
    """All numbers of an update, or of several along `lead` leading axes, in the order of the parameters."""
    return torch.cat([value.flatten(lead) for value in update.values()], dim=-1)


def clients(pool: Tensor, images: int, count: int, seed: int) -> Tensor:
    """The rows [count, images] of public clients: each of the pool is used once before any is used again."""
    passes = range(-(-count * images // len(pool)))
    order = [pool[torch.randperm(len(pool), generator=generator("public order", seed, k))] for k in passes]
    return torch.cat(order)[: count * images].view(count, images)


def public_pairs(
    observation: Observation, public: Images, rows: Tensor, compress: Callable[[Tensor], Tensor]
) -> Pairs:
    """What public clients with these rows [k, n] would have sent."""
    like = next(iter(observation.params.values()))

    def one(x: Tensor, y: Tensor) -> Params:
        return observation.protocol.update(observation.model, observation.params, Batch(x, y))

    features, images = [], []
    with task("public updates", len(rows)) as bar:
        for some in rows.split(TOGETHER):
            interruption.check()
            chosen = [public[row] for row in some.flatten().tolist()]
            x = torch.stack([image for image, _ in chosen]).unflatten(0, some.shape).to(like)
            y = torch.tensor([label for _, label in chosen], device=like.device).view(some.shape)
            features.append(compress(flattened(torch.func.vmap(one)(x, y), lead=1)))
            images.append(x)
            bar.advance(steps=len(some))
    return Pairs(torch.cat(features), torch.cat(images))


def squared_error(made: Tensor, images: Tensor) -> Tensor:
    """Mean squared error of [k, n, c, h, w], each n in the order that makes it least (Wu et al. 2023, section 3.2)."""
    if images.shape[1] == 1:
        return (made - images).square().mean()
    from scipy.optimize import linear_sum_assignment

    with torch.no_grad():
        costs = torch.cdist(made.flatten(2), images.flatten(2)).square().cpu().numpy()
        order = torch.stack([torch.from_numpy(linear_sum_assignment(cost)[1]) for cost in costs])
    rows = torch.arange(len(images))[:, None]
    return (made - images[rows, order.to(images.device)]).square().mean()


def batches(count: int, size: int, epoch: int, seed: int) -> Iterator[Tensor]:
    """The rows of each minibatch of an epoch, in an order of its own."""
    return iter(torch.randperm(count, generator=generator("inverter order", seed, epoch)).split(size))
