"""Starts that know nothing of earlier attacks: they tell what blending gains beyond a start of the right scale."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from harness.base.numbers import Real
from harness.base.threat import Need
from harness.core import Images, component
from harness.starts.policy import Memory, StartPolicy

CHUNK = 1000
"""Images in memory at once while their mean is taken."""


@component
class Constant(StartPolicy):
    """The same value in every pixel: no information at all, but within the range of images."""

    value: Real = 0.5

    def start(self, memory: Memory, shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
        return torch.full(shape, self.value)


@component
class Uniform(StartPolicy):
    """Independent pixels from U(0, 1), drawn anew for every attack: noise within the range of images."""

    def start(self, memory: Memory, shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
        return torch.rand(shape, generator=rng)


@component
class MeanImage(StartPolicy):
    """The mean of the data set's public split: what images of its kind have in common, known without any attack."""

    needs: ClassVar[frozenset[Need]] = frozenset({Need.PUBLIC})

    def begin(self, public: Callable[[], Images]) -> Memory:
        images = public()
        total = torch.zeros_like(images[0][0], dtype=torch.float64)
        for first in range(0, len(images), CHUNK):
            places = range(first, min(first + CHUNK, len(images)))
            total += torch.stack([images[place][0] for place in places]).sum(0, dtype=torch.float64)
        return Memory((total / len(images)).float(), len(images))

    def start(self, memory: Memory, shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
        assert memory.image is not None
        return memory.image.expand(shape).clone()
