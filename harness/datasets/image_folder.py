"""Any tree of images with one folder per class."""

import dataclasses
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Annotated, Self, TypeVar

import torch
from pydantic import BeforeValidator, model_validator

from harness.base.errors import note, warn
from harness.base.memory import remembered
from harness.base.numbers import Count, Fraction, Side
from harness.core import Dataset, Images, Shape, Split, UserError, component
from harness.datasets.files import FileImages, image_size, listed, locate
from harness.datasets.folders import scan
from harness.datasets.names import quoted
from harness.datasets.splits import Part, Pool, cut, part_of, split_indices
from harness.datasets.statistics import Deviation, Mean, measure, thinned
from harness.identity.digests import combined

Sample = tuple[str, int]
"""The path of an image, and its class."""
Names = Annotated[tuple[str, ...] | Count, BeforeValidator(quoted)]
Value = TypeVar("Value")
AnyFolder = TypeVar("AnyFolder", bound="ImageFolder")
SIZE, LARGEST = 32, 64
"""Pixels a side where the images differ, or are larger than the largest that attacks are common on."""
PARTS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})
"""Folders of an official division, which are no classes."""


@component
class ImageFolder(Dataset):
    """RGB images FOLDER/CLASS/*.jpg (or png, webp ...), resized and cropped to a square.

    What is null is found in the folder, and said.
    """

    folder: str | None = None
    """Relative to the data folder; null: the data folder itself."""
    train: str | None = None
    """Subfolder of the official training part; null: `folder` holds the classes, and is cut in three."""
    test: str | None = None
    """Subfolder of the official test part."""
    size: Side | None = None
    """Pixels a side of the square cut from the centre; null: the images' own where all are squares of one size
    up to 64, else 32."""
    resize: Side | None = None
    """Pixels of the shorter side before the cut; null: the same as `size`."""
    class_names: Names | None = None
    """The class folders, in the order of their numbers; or how many there are, numbered alphabetically; null: all
    that there are."""
    mean: Mean | None = None
    """Per channel, on [0, 1]; null: measured on images that are not attacked."""
    std: Deviation | None = None
    public_fraction: Fraction = 0.5
    """Of the rows that are not attacked; the rest is for trained victims."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.train is None) != (self.test is None):
            raise ValueError("train and test are subfolders of an official division: give both or neither")
        if self.resize is not None and self.size is not None and self.resize < self.size:
            raise ValueError(f"resize={self.resize} is smaller than size={self.size}")
        return self

    @property
    def shape(self) -> Shape:
        return (3, self._found(self.size), self._found(self.size))

    @property
    def classes(self) -> tuple[str, ...]:
        names = self.class_names
        return names if isinstance(names, tuple) else tuple(map(str, range(self._found(names))))

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return self._found(self.mean), self._found(self.std)

    def _found(self, value: Value | None) -> Value:
        """A setting that may be null until `resolved` has looked at the files."""
        if value is None:
            raise ValueError("size, class_names, mean and std are found in a folder: see `resolved`")
        return value

    def resolved(self, root: str | None) -> Self:
        return self if self._complete else _resolved(self, root)

    @property
    def _complete(self) -> bool:
        return None not in (self.size, self.class_names, self.mean, self.std)

    def fingerprint(self, root: str | None, splits: Collection[Split]) -> str:
        """A digest of the images of the parts that the splits are from, and of their classes."""
        try:
            parts = sorted({self._of(split) for split in splits})
            return combined(_listed(self, self._part(root, self._folders[part])) for part in parts)
        except UserError:  # `load` says what is missing
            return ""

    def _of(self, split: Split) -> Part:
        return "all" if self.train is None else part_of(split)

    @property
    def _folders(self) -> dict[Part, str | None]:
        return {"all": None, "train": self.train, "test": self.test}

    def _part(self, root: str | None, part: str | None) -> Path:
        """The folder of the classes of a part. Raises UserError when it is not there."""
        if self.folder is None and not root:
            raise UserError("dataset.folder: say which folder below $HARNESS_DATA, or data.root=FOLDER")
        path = "/".join(filter(None, (self.folder, part))) or "."
        return locate(root, [path]) / path

    def load(self, split: Split, root: str | None) -> Images:
        if not self._complete:
            return self.resolved(root).load(split, root)
        part = self._of(split)
        return cut(_pool(self, self._part(root, self._folders[part]), part), split, self.public_fraction)

    def numbers(self, folder: Path, found: list[str]) -> dict[str, int]:
        """The class number of each class folder found (sorted). Raises UserError when they are others."""
        names = self.class_names if isinstance(self.class_names, tuple) else tuple(found)
        if set(names) != set(found) or len(found) != len(self.classes):
            shown = _shown(found)
            raise UserError(
                f"{folder} has {len(found)} class folders ({shown}) but dataset.class_names is "
                f"{self.class_names}: set dataset.class_names={len(found)}"
            )
        return {name: number for number, name in enumerate(names)}

    def samples(self, folder: Path) -> list[Sample]:
        """Every image below `folder`, sorted by class folder and file name."""
        found = scan(folder)
        numbers = self.numbers(folder, list(found))
        return [(path, numbers[name]) for name, paths in found.items() for path in paths]


@remembered
def _pool(dataset: ImageFolder, folder: Path, part: Part) -> Pool:
    samples = dataset.samples(folder)
    size = dataset.shape[1]
    images = FileImages([path for path, _ in samples], size, dataset.resize or size)
    return Pool(images, torch.tensor([label for _, label in samples]), part)


@remembered
def _listed(dataset: ImageFolder, folder: Path) -> str:
    return listed(folder, dataset.samples(folder))


@remembered
def _resolved(dataset: AnyFolder, root: str | None) -> AnyFolder:
    """The data set with what its folder shows in the place of null, and a line on stderr that says it.

    Raises UserError where the folder holds no classes, or an official division that is not named.
    """
    folder = dataset._part(root, dataset.train)
    found = scan(folder)
    if dataset.class_names is None and set(map(str.lower, found)) <= PARTS:
        raise UserError(
            f"{folder}: {_shown(found)} are parts, not classes: say dataset.train=... dataset.test=..."
        )
    paths = [path for of_class in found.values() for path in of_class]
    size = dataset.size or _common_size(paths)
    names: tuple[str, ...] | int = tuple(found)
    if dataset.class_names is not None:
        dataset.numbers(folder, list(found))
        names = dataset.class_names
    part: Part = "all" if dataset.train is None else "train"
    public = split_indices(len(paths), "public", 1.0, part)
    mean, std = measure(FileImages(paths, size, max(dataset.resize or size, size)), public)
    mean, std = dataset.mean or mean, tuple(dataset.std or std)
    if not all(std):
        std = tuple(value or 1.0 for value in std)
        warn(f"{folder}: a channel has the same value in all pixels, and its deviation is taken as 1")
    note(
        f"{folder}: {len(found)} classes ({_shown(found)}), {len(paths)} images taken as {size}x{size}, "
        f"mean {list(mean)}, std {list(std)}; settings of dataset say otherwise"
    )
    if len(found) == 1:
        warn(f"{folder} has a single class ({_shown(found)}): there is nothing to tell of labels")
    return dataclasses.replace(dataset, size=size, class_names=names, mean=mean, std=std)


def _common_size(paths: list[str]) -> int:
    """The side of the images where all are squares of one size that is not too large, else a size of our own."""
    places = thinned(list(range(len(paths))))
    sizes = {image_size(paths[place]) for place in places}
    width, height = min(sizes)
    return width if len(sizes) == 1 and width == height and width <= LARGEST else SIZE


def _shown(names: Iterable[str]) -> str:
    several = list(names)
    return ", ".join(several[:3]) + (", ..." if len(several) > 3 else "")
