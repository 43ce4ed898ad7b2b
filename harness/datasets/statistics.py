"""Mean and standard deviation of the channels: checked where they are given, measured where they are not."""

from typing import Annotated

import torch
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from harness.base.numbers import Real
from harness.datasets.splits import PixelSource

MEASURED_ON = 500
"""Images at most: the fourth digit hardly moves with more, and each has to be decoded."""

Channels = tuple[Real, ...]


def _checked(values: Channels) -> Channels:
    if len(values) != 3:
        raise PydanticCustomError("channels", "three numbers are wanted, one each for red, green and blue")
    if any(value > 1 for value in values):
        raise PydanticCustomError("channels", "numbers on [0, 1] are wanted: divide those on [0, 255] by 255")
    if any(value < 0 for value in values):
        raise PydanticCustomError("channels", "numbers on [0, 1] are wanted")
    return values


def _positive(values: Channels) -> Channels:
    if not all(values):
        raise PydanticCustomError("channels", "a deviation of 0 can't be divided by")
    return values


Mean = Annotated[Channels, AfterValidator(_checked)]
Deviation = Annotated[Channels, AfterValidator(_checked), AfterValidator(_positive)]


def measure(images: PixelSource, rows: list[int]) -> tuple[Channels, Channels]:
    """Mean and deviation over all pixels of uint8 images [3, h, w], in four digits. `rows`: evenly thinned out."""
    sums, squares, count = torch.zeros(3).double(), torch.zeros(3).double(), 0
    for row in thinned(rows):
        pixels = images[row].double().flatten(1) / 255
        sums, squares, count = sums + pixels.sum(1), squares + pixels.square().sum(1), count + pixels.shape[1]
    mean = sums / count
    deviation = (squares / count - mean.square()).clamp_min(0).sqrt()
    return _rounded(mean), _rounded(deviation)


def thinned(rows: list[int]) -> list[int]:
    """At most `MEASURED_ON` of the rows, evenly spread."""
    return rows[:: -(-len(rows) // MEASURED_ON)]


def _rounded(values: torch.Tensor) -> Channels:
    return tuple(round(value, 4) for value in values.tolist())
