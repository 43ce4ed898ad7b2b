"""MNIST: fetched by torchvision, read without it, since to import it takes longer than a short run."""

from functools import cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy
import torch
from torch.nn.functional import pad

from harness.base.numbers import Fraction
from harness.core import Dataset, Images, Shape, Split, component
from harness.datasets.files import check_sha256, locate
from harness.datasets.splits import Part, Pool, cut, part_of

RAW = "MNIST/raw/"
FILES: dict[Part, dict[str, str]] = {
    "train": {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    },
    "test": {
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
}
"""sha256 of the original files: of each part images, then labels."""
HEADERS = 16, 8
"""Bytes before the images [n, 28, 28] and the labels [n], a byte each (the IDX format)."""


@component
class MNIST(Dataset):
    """70,000 handwritten digits (LeCun, Cortes and Burges): 60,000 for training, 10,000 to attack."""

    checked: ClassVar[bool] = True
    size: Literal[28, 32] = 28
    """Pixels a side; 32 adds two black pixels on every side, as LeNet-5 had it."""
    public_fraction: Fraction = 0.5
    """Of the official training part; the rest is for trained victims."""

    @property
    def shape(self) -> Shape:
        return (1, self.size, self.size)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple("0123456789")

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Of the official training part."""
        return {28: ((0.1307,), (0.3081,)), 32: ((0.1000,), (0.2752,))}[self.size]

    def load(self, split: Split, root: str | None) -> Images:
        part = part_of(split)
        base = locate(root, [RAW + name for part in FILES.values() for name in part], download="mnist")
        return cut(_pool(base, part, self.size), split, self.public_fraction)

    def download(self, root: str) -> None:
        from harness.machine import vision

        vision.declare_operators()
        from torchvision import datasets

        datasets.MNIST(root, download=True)


@cache
def _pool(base: Path, part: Part, size: int) -> Pool:
    for name, sha256 in FILES[part].items():
        check_sha256(base / RAW / name, sha256)
    images, labels = (
        torch.from_numpy(numpy.fromfile(base / RAW / name, numpy.uint8, offset=header))
        for name, header in zip(FILES[part], HEADERS, strict=True)
    )
    return Pool(pad(images.view(-1, 1, 28, 28), [(size - 28) // 2] * 4), labels.long(), part)
