"""Convolutions with weights W that all problems share, and with a direction v in W that each problem has of its own.

Maps are [n, k, channels, height, width] for n images of each of k problems, so that problems are groups of channels
(n, k * channels) or images (n * k) without being moved. A derivative along v is a `_dot`; g is the gradient in W.
"""

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.grad import conv2d_input, conv2d_weight

from harness.attacks.solvers.evaluator import LEAST_CHANNELS
from harness.attacks.solvers.units import Unit


class ConvolutionPass(ABC):
    """One convolution of a sweep; one of 1 x 1 is given just those places of a map that its stride does not skip."""

    def __init__(self, unit: Unit, weight: Tensor, bias: Tensor | None = None) -> None:
        self.weight, self.bias = weight, bias
        self.kernel, self.padding = unit.kernel, unit.kernel // 2
        self.stride = unit.stride if unit.kernel > 1 else 1

    @staticmethod
    def packed(weight: Tensor) -> Tensor:
        """A weight [out, in, kernel, kernel], or a gradient in it, as the methods have them."""
        return weight

    @staticmethod
    def unpacked(packed: Tensor, shape: torch.Size) -> Tensor:
        """[k, ...] of these, back to [k, *shape]."""
        return packed.view(-1, *shape)

    def up(self, h: Tensor) -> Tensor:
        """W h, and the bias."""
        self.h = h
        return self._shared(h, self.bias)

    def down(self, slope: Tensor, on: bool) -> Tensor | None:
        """Take the loss's slope in W h, and return that in h, if it goes `on`."""
        self.slope = slope
        return self._shared_back(slope) if on else None

    @abstractmethod
    def gradient(self) -> Tensor:
        """g [k, ...], packed; it is kept."""

    def products(self, received: Tensor) -> tuple[Tensor, Tensor]:
        """<g, received> and |g|^2 [k]."""
        g = self.gradient()
        return inner(g, received), inner(g, g)

    @abstractmethod
    def aim(self, a: Tensor, c: Tensor, received: Tensor) -> None:
        """Let v be a * received + c * g, for a and c [k], and the g that is kept."""

    @abstractmethod
    def up_dot(self, h_dot: Tensor | None) -> Tensor:
        """The derivative of W h; that of h is zero where it is None."""

    @abstractmethod
    def down_dot(self, slope_dot: Tensor) -> Tensor:
        """The derivative of the slope in h."""

    def _shared(self, h: Tensor, bias: Tensor | None = None) -> Tensor:
        if self.kernel == 1:
            return _pointwise(self.weight.flatten(1), h, bias)
        out = F.conv2d(h.flatten(0, 1), self.weight, bias, self.stride, self.padding)
        maps: Tensor = out.unflatten(0, h.shape[:2])
        return maps

    def _shared_back(self, slope: Tensor) -> Tensor:
        if self.kernel == 1:
            return _pointwise(self.weight.flatten(1).mT, slope)
        size = self.h.flatten(0, 1).shape
        found = conv2d_input(size, self.weight, slope.flatten(0, 1), self.stride, self.padding)
        maps: Tensor = found.unflatten(0, slope.shape[:2])
        return maps


class Grouped(ConvolutionPass):
    """For maps of many places: problems are the groups of one convolution.

    The first one is repeated where the maps of all have fewer than `LEAST_CHANNELS`.
    """

    def gradient(self) -> Tensor:
        k, (out, *rest) = self.h.shape[1], self.weight.shape
        maps, slopes = self._filled(self.h, 1), self._filled(self.slope, 1)
        self.groups, self.maps, self.slopes = maps.shape[1], maps.flatten(1, 2), slopes.flatten(1, 2)
        size = (self.groups * out, *rest)
        found = conv2d_weight(self.maps, size, self.slopes, self.stride, self.padding, groups=self.groups)
        g: Tensor = found.unflatten(0, (self.groups, out))[:k]
        self.g = g
        return g

    def aim(self, a: Tensor, c: Tensor, received: Tensor) -> None:
        self.along(combined(a, received, c, self.g))

    def along(self, v: Tensor, bias_v: Tensor | None = None) -> None:
        """Let v [k, out, in, kernel, kernel] be this, and [k, out] in the bias."""
        self.v = self._filled(v, 0).flatten(0, 1)
        self.bias_v = None if bias_v is None else self._filled(bias_v, 0).flatten()

    def up_dot(self, h_dot: Tensor | None) -> Tensor:
        out = F.conv2d(self.maps, self.v, self.bias_v, self.stride, self.padding, groups=self.groups)
        own: Tensor = out.unflatten(1, (self.groups, -1))[:, : self.h.shape[1]]
        return own if h_dot is None else own.add_(self._shared(h_dot))

    def down_dot(self, slope_dot: Tensor) -> Tensor:
        size, slopes = self.maps.shape, self.slopes
        found = conv2d_input(size, self.v, slopes, self.stride, self.padding, groups=self.groups)
        own: Tensor = found.unflatten(1, (self.groups, -1))[:, : self.h.shape[1]]
        return own.add_(self._shared_back(slope_dot))

    def _filled(self, rows: Tensor, axis: int) -> Tensor:
        """What lies problem by problem along an axis, of as many as are convolved."""
        missing = math.ceil(LEAST_CHANNELS / self.weight.shape[1]) - rows.shape[axis]
        return torch.cat([rows, *[rows.narrow(axis, 0, 1)] * missing], axis) if missing > 0 else rows


class Patched(ConvolutionPass):
    """For maps of few places: products of matrices, of patches [k, places, kernel * kernel * in]."""

    @staticmethod
    def packed(weight: Tensor) -> Tensor:
        return weight.permute(0, 2, 3, 1).flatten(1)

    @staticmethod
    def unpacked(packed: Tensor, shape: torch.Size) -> Tensor:
        out, into, high, wide = shape
        return packed.view(-1, out, high, wide, into).permute(0, 1, 4, 2, 3)

    def up(self, h: Tensor) -> Tensor:
        h = h.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, h.shape[:2])
        self.patches = self._patches(h)
        return super().up(h)

    def down(self, slope: Tensor, on: bool) -> Tensor | None:
        self.rows = slope.permute(1, 0, 3, 4, 2).flatten(1, 3)
        """The slope [k, places, out]."""
        return super().down(slope, on)

    def gradient(self) -> Tensor:
        self.g = torch.bmm(self.rows.mT, self.patches)
        return self.g

    def aim(self, a: Tensor, c: Tensor, received: Tensor) -> None:
        self.v = combined(a, received, c, self.g)

    def up_dot(self, h_dot: Tensor | None) -> Tensor:
        n, k, _, high, wide = self.slope.shape
        own = self._times_patches().view(k, n, high, wide, -1).permute(1, 0, 4, 2, 3)
        return own if h_dot is None else own.add_(self._shared(h_dot))

    def down_dot(self, slope_dot: Tensor) -> Tensor:
        return self._folded(self._rows_times()).add_(self._shared_back(slope_dot))

    def _times_patches(self) -> Tensor:
        """v h [k, places, out]."""
        return torch.bmm(self.patches, self.v.mT)

    def _rows_times(self) -> Tensor:
        """The slope through v' [k, places, kernel * kernel * in]."""
        return torch.bmm(self.rows, self.v)

    def _patches(self, h: Tensor) -> Tensor:
        """A copied view of overlapping windows, whose rows lie together."""
        n, k, channels, high, wide = h.shape
        edge, size, step = self.padding, self.kernel, self.stride
        whole = F.pad(h.permute(1, 0, 3, 4, 2), (0, 0, edge, edge, edge, edge)).contiguous()
        of_image, of_row = (high + 2 * edge) * (wide + 2 * edge) * channels, (wide + 2 * edge) * channels
        windows = whole.as_strided(
            (k, n, (high - 1) // step + 1, (wide - 1) // step + 1, size, size * channels),
            (n * of_image, of_image, step * of_row, step * channels, of_row, 1),
        )
        return windows.reshape(k, -1, size * size * channels)

    def _folded(self, patches: Tensor) -> Tensor:
        """The transpose of `_patches`."""
        n, k, channels, high, wide = self.h.shape
        edge, size, step = self.padding, self.kernel, self.stride
        down, across = (high - 1) // step + 1, (wide - 1) // step + 1
        parts = patches.view(k, n, down, across, size, size, channels)
        whole = patches.new_zeros(k, n, high + 2 * edge, wide + 2 * edge, channels)
        for y in range(size):
            for x in range(size):
                whole[:, :, y : y + down * step : step, x : x + across * step : step] += parts[
                    :, :, :, :, y, x
                ]
        return whole[:, :, edge : edge + high, edge : edge + wide].permute(1, 0, 4, 2, 3)


class Gram(Patched):
    """For maps of so few places that g, which is rows' patches, is never written out."""

    def products(self, received: Tensor) -> tuple[Tensor, Tensor]:
        self.received_patches = torch.bmm(self.patches, received.mT)
        self.gram_rows = torch.bmm(torch.bmm(self.patches, self.patches.mT), self.rows)
        return inner(self.rows, self.received_patches), inner(self.rows, self.gram_rows)

    def aim(self, a: Tensor, c: Tensor, received: Tensor) -> None:
        self.a, self.c, self.received = a, c, received

    def _times_patches(self) -> Tensor:
        return combined(self.a, self.received_patches, self.c, self.gram_rows)

    def _rows_times(self) -> Tensor:
        gram = torch.bmm(self.rows, self.rows.mT)
        return combined(self.a, torch.bmm(self.rows, self.received), self.c, torch.bmm(gram, self.patches))


def _pointwise(weight: Tensor, maps: Tensor, bias: Tensor | None = None) -> Tensor:
    """A convolution of 1 x 1 of maps [n, k, in, height, width] by a weight [out, in], and a bias [out].

    It goes image by image: oneDNN's rounds otherwise from 16 images on.
    """
    images = maps.flatten(0, 1).flatten(2)
    out = torch.bmm(weight.expand(len(images), -1, -1), images)
    if bias is not None:
        out += bias[:, None]
    return out.view(*maps.shape[:2], -1, *maps.shape[3:])


def inner(one: Tensor, other: Tensor) -> Tensor:
    """Inner products [k] of [k, ...] and [k, ...]."""
    return (one * other).flatten(1).sum(1)


def summed(terms: Iterable[Tensor]) -> Tensor:
    """Sums [k] of several [k], one after the other: a sum over an axis rounds otherwise for some k."""
    return functools.reduce(torch.add, terms)


def combined(a: Tensor, one: Tensor, c: Tensor, other: Tensor) -> Tensor:
    """a * one + c * other, for a and c [k], and [k, ...]."""
    shape = (-1, *[1] * (one.dim() - 1))
    return torch.addcmul(one * a.view(shape), other, c.view(shape))
