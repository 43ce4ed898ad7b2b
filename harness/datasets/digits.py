"""Handwritten digits that come with scikit-learn."""

from collections.abc import Collection
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy
import torch

from harness.base.numbers import Fraction, Side
from harness.core import Dataset, Images, Shape, Split, component
from harness.datasets.splits import Pool, cut
from harness.identity.digests import packaged

ROWS = "datasets/data/digits.csv.gz"
"""In scikit-learn's folder, a line for each digit: its 64 pixels and its class."""


@component
class Digits32(Dataset):
    """1797 digits of 8x8 pixels (UCI Optical Recognition of Handwritten Digits), upsampled to 32x32.

    Bilinear upsampling makes them smoother than a photograph: they flatter attacks with a smoothness prior.
    """

    embedded: ClassVar[bool] = True
    size: Side = 32
    """Pixels a side after upsampling."""
    public_fraction: Fraction = 0.8
    """Of the rows that are not attacked: most of them, because generators need more images than victims."""

    @property
    def shape(self) -> Shape:
        return (1, self.size, self.size)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple("0123456789")

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Of all 1797 images, upsampled to 32x32."""
        return (0.3053,), (0.3236,)

    def fingerprint(self, root: str | None, splits: Collection[Split]) -> str:
        return packaged("sklearn", ROWS)

    def load(self, split: Split, root: str | None) -> Images:
        return cut(_pool(self.size), split, self.public_fraction)


@cache
def _pool(size: int) -> Pool:
    """Read from scikit-learn's folder: to import it takes longer than a short run."""
    spec = find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    rows = torch.from_numpy(numpy.loadtxt(Path(spec.origin).parent / ROWS, delimiter=","))
    small = rows[:, :-1].float().view(-1, 1, 8, 8) / 16  # grey levels are 0..16
    images = torch.nn.functional.interpolate(small, size=size, mode="bilinear", align_corners=False)
    return Pool(images, rows[:, -1].long())
