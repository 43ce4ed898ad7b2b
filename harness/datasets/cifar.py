"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) through torchvision."""

from abc import ABC
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import torch

from harness.base.numbers import Fraction, Side
from harness.core import Dataset, Images, Shape, Split, component
from harness.datasets.files import damaged, locate
from harness.datasets.splits import Part, Pool, cut, part_of, resized
from harness.machine import vision

CIFAR10_FILES = [
    f"cifar-10-batches-py/{name}"
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta")
]
CIFAR100_FILES = [f"cifar-100-python/{name}" for name in ("train", "test", "meta")]
CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
CIFAR100_NAMES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel
can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur
dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion
lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree
pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea
seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table
tank telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman
worm
"""
CIFAR100_CLASSES = tuple(CIFAR100_NAMES.split())


@component
class CIFAR(Dataset, ABC):
    """What CIFAR-10 and CIFAR-100 share: 50,000 photographs of 32x32 pixels for training, 10,000 to attack."""

    checked: ClassVar[bool] = True
    name: ClassVar[str]
    """Of torchvision's class; in lower case, of the YAML."""
    names: ClassVar[tuple[str, ...]]
    files: ClassVar[tuple[str, ...]]
    mean: ClassVar[tuple[float, ...]]
    std: ClassVar[tuple[float, ...]]
    size: Side | None = None
    """Pixels a side, bilinear with antialiasing; null: 32, as they are."""
    public_fraction: Fraction = 0.5
    """Of the official training part; the rest is for trained victims."""

    @property
    def shape(self) -> Shape:
        side = self.size or 32
        return (3, side, side)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.names

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Of the official training part."""
        return self.mean, self.std

    def load(self, split: Split, root: str | None) -> Images:
        base = locate(root, self.files, download=self.name.lower())
        return cut(_pool(self.name, base, self.size, part_of(split)), split, self.public_fraction)

    def download(self, root: str) -> None:
        _torchvision(self.name)(root, download=True)


@component
class CIFAR10(CIFAR):
    """Krizhevsky 2009: photographs in ten classes."""

    name: ClassVar[str] = "CIFAR10"
    names: ClassVar[tuple[str, ...]] = CIFAR10_CLASSES
    files: ClassVar[tuple[str, ...]] = tuple(CIFAR10_FILES)
    mean: ClassVar[tuple[float, ...]] = (0.4914, 0.4822, 0.4465)
    std: ClassVar[tuple[float, ...]] = (0.2470, 0.2435, 0.2616)


@component
class CIFAR100(CIFAR):
    """Krizhevsky 2009: photographs in 100 fine classes; mean and deviation as commonly published."""

    name: ClassVar[str] = "CIFAR100"
    names: ClassVar[tuple[str, ...]] = CIFAR100_CLASSES
    files: ClassVar[tuple[str, ...]] = tuple(CIFAR100_FILES)
    mean: ClassVar[tuple[float, ...]] = (0.5071, 0.4865, 0.4409)
    std: ClassVar[tuple[float, ...]] = (0.2673, 0.2564, 0.2762)


def _torchvision(name: str) -> Any:
    vision.declare_operators()
    from torchvision import datasets

    return getattr(datasets, name)


@cache
def _pool(name: str, base: Path, size: int | None, part: Part) -> Pool:
    kind = _torchvision(name)
    folder = base / kind.base_folder
    try:
        source = kind(base, train=part == "train")
    except RuntimeError as error:  # torchvision compares the md5 of every file
        raise damaged(folder, "a checksum differs from the original's") from error
    pixels = torch.from_numpy(source.data).permute(0, 3, 1, 2).contiguous()
    return resized(Pool(pixels, torch.tensor(source.targets), part), size)
