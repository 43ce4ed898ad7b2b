"""Tiles of the colour photographs that come with scikit-image and scikit-learn."""

from collections.abc import Collection, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy
import torch
from torch import Tensor

from harness.base.numbers import Fraction
from harness.core import Dataset, Images, Shape, Split, UserError, component
from harness.datasets.splits import Pool, split_indices, subset
from harness.identity.digests import packaged

TILE = 32
FLAT = 0.02
"""Tiles whose pixels deviate less than this from their mean, in every channel, show nothing."""
EVERY = 5
"""One tile row in five is attacked: the smallest photograph has nine rows, and every class needs some."""
CLASSES = (
    "astronaut",
    "chelsea",
    "china",
    "coffee",
    "flower",
    "hubble_deep_field",
    "immunohistochemistry",
    "motorcycle",
    "retina",
    "rocket",
)


FILES = (
    ("skimage", "data/astronaut.png"),
    ("skimage", "data/chelsea.png"),
    ("sklearn", "datasets/images/china.jpg"),
    ("skimage", "data/coffee.png"),
    ("sklearn", "datasets/images/flower.jpg"),
    ("skimage", "data/hubble_deep_field.jpg"),
    ("skimage", "data/ihc.png"),
    ("skimage", "data/motorcycle_left.png"),  # the right one shows the same scene: it would be in two splits
    ("skimage", "data/retina.jpg"),
    ("skimage", "data/rocket.jpg"),
)
"""Of each class the package that its photograph comes with, and where it is there."""


@component
class Photos32(Dataset):
    """Non-overlapping 32x32 RGB tiles of ten photographs; the class is the photograph.

    The splits divide whole rows of tiles, so that tiles side by side are never in different splits.
    """

    embedded: ClassVar[bool] = True
    public_fraction: Fraction = 0.8
    """Of the tile rows that are not attacked: most of them, because generators need more than victims."""

    @property
    def shape(self) -> Shape:
        return (3, TILE, TILE)

    @property
    def classes(self) -> tuple[str, ...]:
        return CLASSES

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Of all tiles."""
        return (0.4435, 0.2990, 0.2518), (0.3450, 0.2398, 0.2291)

    def fingerprint(self, root: str | None, splits: Collection[Split]) -> str:
        packages = {package: [name for owner, name in FILES if owner == package] for package, _ in FILES}
        return "".join(packaged(package, *names) for package, names in packages.items())

    def load(self, split: Split, root: str | None) -> Images:
        pool, rows = _pool()
        height = int(rows.max()) + 1
        chosen = torch.tensor(split_indices(height, split, self.public_fraction, every=EVERY))
        return subset(pool, torch.isin(rows, chosen).nonzero().flatten().tolist(), split)


@cache
def _pool() -> tuple[Pool, Tensor]:
    """The tiles, and for each the number of its row within its photograph."""
    pixels, labels, rows = [], [], []
    for label, photograph in enumerate(_photographs()):
        tiles = _tiles(photograph)
        row = torch.arange(tiles.shape[0]).repeat_interleave(tiles.shape[1])
        tiles = tiles.flatten(0, 1)
        keep = (tiles / 255).flatten(2).std(dim=2, correction=0).amax(dim=1) >= FLAT
        pixels.append(tiles[keep])
        rows.append(row[keep])
        labels.append(torch.full((int(keep.sum()),), label))
    return Pool(torch.cat(pixels), torch.cat(labels)), torch.cat(rows)


def _tiles(photograph: Tensor) -> Tensor:
    """The whole tiles [rows, columns, 3, TILE, TILE] of a photograph [height, width, 3], without the rest."""
    rows, columns = photograph.shape[0] // TILE, photograph.shape[1] // TILE
    image = photograph[: rows * TILE, : columns * TILE]
    return image.reshape(rows, TILE, columns, TILE, 3).permute(0, 2, 4, 1, 3)


def _photographs() -> Iterator[Tensor]:
    """The photographs [height, width, 3], in the order of CLASSES: their files alone are read, for to import what they
    come with takes longer than a short run. Raises UserError where they are not there."""
    from PIL import Image

    for package, name in FILES:
        spec = find_spec(package)
        places = (spec and spec.submodule_search_locations) or []
        try:
            with Image.open(Path(*places, name)) as photograph:
                yield torch.from_numpy(numpy.array(photograph.convert("RGB")))
        except OSError as error:
            raise UserError(f"{name} of {package}, a dependency, can't be read: {error}") from error
