"""Faces and other patches that come with scikit-image."""

from collections.abc import Collection
from functools import cache
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field

from harness.base.numbers import Fraction, Side
from harness.core import Dataset, Images, Shape, Split, component
from harness.datasets.splits import Pool, cut
from harness.identity.digests import packaged


@component
class LFWFaces(Dataset):
    """100 grey faces and 100 patches without a face, 25x25 pixels, of Labeled Faces in the Wild."""

    embedded: ClassVar[bool] = True
    size: Annotated[Side, Field(ge=25)] = 32
    """Pixels a side after bilinear upsampling; 25 leaves the originals alone."""
    public_fraction: Fraction = 0.8
    """Of the rows that are not attacked: most of them, because generators need more images than victims."""

    @property
    def shape(self) -> Shape:
        return (1, self.size, self.size)

    @property
    def classes(self) -> tuple[str, ...]:
        return ("no face", "face")

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Of all 200 images at their original size."""
        return (0.3771,), (0.2728,)

    def fingerprint(self, root: str | None, splits: Collection[Split]) -> str:
        return packaged("skimage", "data/lfw_subset.npy")

    def load(self, split: Split, root: str | None) -> Images:
        return cut(_pool(self.size), split, self.public_fraction)


@cache
def _pool(size: int) -> Pool:
    import skimage.data

    data: Any = skimage.data  # its functions have no types
    small = torch.from_numpy(data.lfw_subset()).float().unsqueeze(1)
    images = torch.nn.functional.interpolate(small, size=size, mode="bilinear", align_corners=False)
    labels = (torch.arange(len(small)) < 100).long()  # the first hundred are the faces
    return Pool(images, labels)
