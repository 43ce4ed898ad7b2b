"""The three disjoint splits of a data set: which rows they hold, and the rows as (image, class) pairs."""

from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from harness.core import Images, Split, UserError

Part = Literal["all", "train", "test"]
"""Where a pool of rows comes from: the whole data set, or one part of its official division."""


GOLDEN_RATIO = (1 + 5**0.5) / 2
"""Its multiples modulo 1 fill [0, 1) more evenly than those of any other number."""

AT_ONCE = 4096
"""Images that are resized together."""


class PixelSource(Protocol):
    """Images by row number: a tensor [n, c, h, w], or something that decodes one [c, h, w] at a time."""

    def __getitem__(self, index: int, /) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Pool:
    """All rows of one part of a data set, in their original order.

    `pixels` are uint8 in [0, 255] or float32 in [0, 1]; `labels` are int64 [n].
    """

    pixels: PixelSource
    labels: Tensor
    part: Part = "all"

    def __len__(self) -> int:
        return len(self.labels)


class Subset(Images):
    """Rows of a pool as (image float32 [c, h, w] in [0, 1], class).

    `indices` are their row numbers in the pool, `labels` [n] their classes, known without decoding an image.
    Under an official division rows count from 0 within its part, as in torchvision; `pool.part` says which.
    """

    def __init__(self, pool: Pool, indices: list[int]) -> None:
        self.pool = pool
        self.indices = indices
        self.labels = pool.labels[torch.tensor(indices, dtype=torch.int64)]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        pixels = self.pool.pixels[self.indices[position]]
        scale = 255 if pixels.dtype == torch.uint8 else 1
        return pixels.to(torch.float32) / scale, int(self.labels[position])


def resized(pool: Pool, size: int | None) -> Pool:
    """The pool with images of `size` pixels a side, bilinear with antialiasing; null: as it is.

    Its pixels are a tensor of whole grey levels.
    """
    if size is None:
        return pool
    assert isinstance(pool.pixels, Tensor)
    shown = [
        functional.interpolate(each.float(), size=(size, size), mode="bilinear", antialias=True).round()
        for each in pool.pixels.split(AT_ONCE)
    ]
    return replace(pool, pixels=torch.cat([each.to(pool.pixels.dtype) for each in shown]))


def part_of(split: Split) -> Part:
    """The official part behind a split: attacks get test images, priors and victims training images."""
    return "test" if split == "attack" else "train"


def split_indices(
    count: int, split: Split, public_fraction: float, part: Part = "all", every: int = 10
) -> list[int]:
    """The rows of a split, ascending: the three splits are disjoint and together hold all `count` rows.

    Attacked are the last of every `every` rows (part "all"), no row (part "train") or all rows (part "test").
    Of the others `public_fraction` is public and the rest for training victims, evenly interleaved: files are
    often sorted by class, or alternate between two sources as MNIST does, so the stride has no period.
    """
    attacked = {"all": range(every - 1, count, every), "train": range(0), "test": range(count)}[part]
    if split == "attack":
        return list(attacked)
    others = [row for row in range(count) if row not in attacked]
    public = (rank * GOLDEN_RATIO % 1 < public_fraction for rank in range(len(others)))
    return [row for row, is_public in zip(others, public, strict=True) if is_public == (split == "public")]


def cut(pool: Pool, split: Split, public_fraction: float) -> Subset:
    """One split of a pool. Raises UserError when no row is left for it."""
    return subset(pool, split_indices(len(pool), split, public_fraction, pool.part), split)


def subset(pool: Pool, indices: list[int], split: Split) -> Subset:
    """The given rows of a pool as a split. Raises UserError when there are none."""
    if not indices:
        raise UserError(f"the {split} split has no images: change dataset.public_fraction")
    return Subset(pool, indices)
