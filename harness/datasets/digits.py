"""Handwritten digits that come with scikit-learn."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from harness.core import Dataset, Images, Shape, Split, component
from harness.datasets.splits import Fraction, Pool, cut


@component
class Digits32(Dataset):
    """1797 digits of 8x8 pixels (UCI Optical Recognition of Handwritten Digits), upsampled to 32x32.

    Bilinear upsampling makes them smoother than a photograph: they flatter attacks with a smoothness prior.
    """

    embedded: ClassVar[bool] = True
    public_fraction: Fraction = 0.8
    """Of the rows that are not attacked: most of them, because generators need more images than victims."""

    @property
    def shape(self) -> Shape:
        return (1, 32, 32)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple("0123456789")

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Of all 1797 upsampled images."""
        return (0.3053,), (0.3236,)

    def load(self, split: Split, root: str | None) -> Images:
        return cut(_pool(), split, self.public_fraction)


@cache
def _pool() -> Pool:
    rows = torch.from_numpy(np.loadtxt(_file(), delimiter=",")).float()
    small = rows[:, :-1].reshape(-1, 1, 8, 8) / 16  # grey levels are 0..16
    images = torch.nn.functional.interpolate(small, size=32, mode="bilinear", align_corners=False)
    return Pool(images, rows[:, -1].long())


def _file() -> Path:
    """What scikit-learn's `load_digits` reads: to import it takes longer than a small run takes in all."""
    origin = find_spec("sklearn")
    if origin is None or origin.origin is None:
        raise RuntimeError("scikit-learn, which carries the digits, is not installed")
    return Path(origin.origin).parent / "datasets" / "data" / "digits.csv.gz"
