"""Images and their classes: what clients hold."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from harness.base.component import Component, component
from harness.core.types import Shape, Split


class Images(TorchDataset[tuple[Tensor, int]], ABC):
    """Rows of a data set as (image float32 [c, h, w] in [0, 1], class).

    `indices` are the rows' numbers in the whole data set, `labels` [n] their classes.
    """

    indices: list[int]
    labels: Tensor

    @abstractmethod
    def __len__(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Batch:
    """A client's secret: images x [n, c, h, w] in [0, 1]; labels y [n] int64, or soft [n, classes]."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)


@component
class Dataset(Component, ABC):
    """A source of labelled images with three disjoint splits."""

    embedded: ClassVar[bool] = False
    """True when the data come with the installed packages."""
    checked: ClassVar[bool] = False
    """True when every file is held to its checksum as it is read, so that there is but one content."""

    @property
    @abstractmethod
    def shape(self) -> Shape: ...

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their numbers."""

    @property
    @abstractmethod
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation per channel, on [0, 1]."""

    def resolved(self, root: str | None) -> Self:
        """The data set with what its files decide in the place of settings that are null. Raises UserError."""
        return self

    def fingerprint(self, root: str | None, splits: Collection[Split]) -> str:
        """A digest of the content that some splits are read from; empty for a data set that can have but one content,
        and where there is nothing to read, which `load` will say."""
        return ""

    @abstractmethod
    def load(self, split: Split, root: str | None) -> Images:
        """One split. Raises UserError, naming the expected files, when the data are not there."""
