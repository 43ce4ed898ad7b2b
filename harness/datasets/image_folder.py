"""Any tree of images with one folder per class."""

from functools import cache
from pathlib import Path
from typing import Self

import torch
from pydantic import PositiveInt, model_validator

from harness import vision
from harness.core import Dataset, Images, Shape, Split, UserError, component
from harness.datasets.files import FileImages, damaged, listing, locate
from harness.datasets.splits import Fraction, Part, Pool, cut, part_of

Sample = tuple[str, int]
"""The path of an image, and its class."""


@component
class ImageFolder(Dataset):
    """RGB images FOLDER/CLASS/*.jpg (or png, webp ...), resized and cropped to a square."""

    folder: str
    """Relative to the data folder."""
    train: str | None = None
    """Subfolder of the official training part; null: `folder` holds the classes, and is cut in three."""
    test: str | None = None
    """Subfolder of the official test part."""
    size: PositiveInt
    """Pixels a side of the square cut from the centre."""
    resize: PositiveInt | None = None
    """Pixels of the shorter side before the cut; null: the same as `size`."""
    class_names: tuple[str, ...] | PositiveInt
    """The class folders, in the order of their numbers; or how many there are, numbered alphabetically."""
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    """Per channel, on [0, 1]; the default is ImageNet's, as torchvision's models have it."""
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    public_fraction: Fraction = 0.5
    """Of the rows that are not attacked; the rest is for trained victims."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.train is None) != (self.test is None):
            raise ValueError("train and test are subfolders of an official division: give both or neither")
        if self.resize is not None and self.resize < self.size:
            raise ValueError(f"resize={self.resize} is smaller than size={self.size}")
        return self

    @property
    def shape(self) -> Shape:
        return (3, self.size, self.size)

    @property
    def classes(self) -> tuple[str, ...]:
        names = self.class_names
        return names if isinstance(names, tuple) else tuple(map(str, range(names)))

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return self.mean, self.std

    def fingerprint(self, root: str | None) -> str:
        """A hash of the names and sizes of the files that are attacked; empty where there are none to read."""
        try:
            folder = locate(root, [f"{self.folder}/{self.test or ''}"]) / self.folder / (self.test or "")
        except UserError:  # `load` says what is missing
            return ""
        return listing(folder)

    def load(self, split: Split, root: str | None) -> Images:
        part: Part = "all" if self.train is None else part_of(split)
        folders: dict[Part, str | None] = {"all": "", "train": self.train, "test": self.test}
        path = f"{self.folder}/{folders[part] or ''}"
        return cut(_pool(self, locate(root, [path]) / path, part), split, self.public_fraction)

    def numbers(self, folder: Path, found: list[str]) -> dict[str, int]:
        """The class number of each class folder found (sorted). Raises UserError when they are others."""
        names = self.class_names if isinstance(self.class_names, tuple) else tuple(found)
        if set(names) != set(found) or len(found) != len(self.classes):
            shown = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
            raise UserError(
                f"{folder} has {len(found)} class folders ({shown}) but dataset.class_names is "
                f"{self.class_names}: set dataset.class_names={len(found)}"
            )
        return {name: number for number, name in enumerate(names)}

    def samples(self, folder: Path) -> list[Sample]:
        """Every image below `folder`, sorted by class folder and file name."""
        vision.declare_operators()
        from torchvision import datasets

        try:
            source = datasets.ImageFolder(folder)
        except FileNotFoundError as error:  # torchvision: no class folder, or one without images
            raise damaged(folder, str(error).splitlines()[0]) from error
        numbers = self.numbers(folder, source.classes)
        return [(path, numbers[source.classes[label]]) for path, label in source.samples]


@cache
def _pool(dataset: ImageFolder, folder: Path, part: Part) -> Pool:
    samples = dataset.samples(folder)
    images = FileImages([path for path, _ in samples], dataset.size, dataset.resize or dataset.size)
    return Pool(images, torch.tensor([label for _, label in samples]), part)
