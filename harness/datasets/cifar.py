"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) through torchvision."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from harness import vision
from harness.core import Dataset, Images, Shape, Split, component
from harness.datasets.files import damaged, locate
from harness.datasets.splits import Fraction, Part, Pool, cut, part_of

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
class CIFAR10(Dataset):
    """60,000 photographs of 32x32 pixels in ten classes: 50,000 for training, 10,000 to attack."""

    public_fraction: Fraction = 0.5
    """Of the official training part; the rest is for trained victims."""

    @property
    def shape(self) -> Shape:
        return (3, 32, 32)

    @property
    def classes(self) -> tuple[str, ...]:
        return CIFAR10_CLASSES

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Of the official training part."""
        return (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)

    def load(self, split: Split, root: str | None) -> Images:
        base = locate(root, CIFAR10_FILES, download="cifar10")
        return cut(_pool(_cifar10, base, part_of(split)), split, self.public_fraction)

    def download(self, root: str) -> None:
        _cifar10()(root, download=True)


@component
class CIFAR100(Dataset):
    """60,000 photographs of 32x32 pixels in 100 fine classes: 50,000 for training, 10,000 to attack."""

    public_fraction: Fraction = 0.5
    """Of the official training part; the rest is for trained victims."""

    @property
    def shape(self) -> Shape:
        return (3, 32, 32)

    @property
    def classes(self) -> tuple[str, ...]:
        return CIFAR100_CLASSES

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Of the official training part, as commonly published."""
        return (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)

    def load(self, split: Split, root: str | None) -> Images:
        base = locate(root, CIFAR100_FILES, download="cifar100")
        return cut(_pool(_cifar100, base, part_of(split)), split, self.public_fraction)

    def download(self, root: str) -> None:
        _cifar100()(root, download=True)


def _cifar10() -> Any:
    vision.declare_operators()
    from torchvision import datasets

    return datasets.CIFAR10


def _cifar100() -> Any:
    vision.declare_operators()
    from torchvision import datasets

    return datasets.CIFAR100


@cache
def _pool(kind: Callable[[], Any], base: Path, part: Part) -> Pool:
    folder = base / kind().base_folder
    try:
        source = kind()(base, train=part == "train")
    except RuntimeError as error:  # torchvision compares the md5 of every file
        raise damaged(folder, "a checksum differs from the original's") from error
    pixels = torch.from_numpy(source.data).permute(0, 3, 1, 2).contiguous()
    return Pool(pixels, torch.tensor(source.targets), part)
