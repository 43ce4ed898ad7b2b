"""Batch normalisation of maps z [n, k, channels, height, width] of k problems, and its derivatives along v.

It gives scale * normal(z) + shift. A `_dot` is a derivative along v, whose parts in scale and shift are [k, channels];
`_gradient` is that of the loss, of the same size.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class NormalizationPass(ABC):
    """One layer of a sweep; scale and shift are [channels]."""

    scale_gradient: Tensor
    shift_gradient: Tensor

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        self.scale, self.shift = scale, shift

    @abstractmethod
    def up(self, z: Tensor) -> Tensor:
        """What it gives."""

    @abstractmethod
    def down(self, slope: Tensor) -> Tensor:
        """From the loss's slope in what it gives to that in z, `scale_gradient` and `shift_gradient`."""

    @abstractmethod
    def up_dot(self, z_dot: Tensor, scale_v: Tensor, shift_v: Tensor) -> Tensor:
        """The derivative of what it gives."""

    @abstractmethod
    def down_dot(self, slope_dot: Tensor, scale_v: Tensor) -> Tensor:
        """The derivative of the slope in z."""


class Running(NormalizationPass):
    """By running statistics: one line for each channel."""

    def __init__(self, layer: nn.BatchNorm2d, scale: Tensor, shift: Tensor) -> None:
        super().__init__(scale, shift)
        assert layer.running_mean is not None
        assert layer.running_var is not None
        self.mean, self.rate = layer.running_mean, (layer.running_var + layer.eps).rsqrt()
        self.factor = scale * self.rate

    def up(self, z: Tensor) -> Tensor:
        self.z = z
        return torch.addcmul(_spread(self.shift - self.mean * self.factor), z, _spread(self.factor))

    def down(self, slope: Tensor) -> Tensor:
        self.slope, self.shift_gradient = slope, total(slope)
        self.scale_gradient = self.rate * (total(slope * self.z) - self.mean * self.shift_gradient)
        return slope * _spread(self.factor)

    def up_dot(self, z_dot: Tensor, scale_v: Tensor, shift_v: Tensor) -> Tensor:
        turned = scale_v * self.rate
        moved = torch.addcmul(_spread(shift_v - turned * self.mean), z_dot, _spread(self.factor))
        return moved.addcmul_(self.z, _spread(turned))

    def down_dot(self, slope_dot: Tensor, scale_v: Tensor) -> Tensor:
        turned = slope_dot * _spread(self.factor)
        return turned.addcmul_(self.slope, _spread(scale_v * self.rate))


class OfBatch(NormalizationPass):
    """By the statistics of each problem's own images, or by those given, [k, channels], with the slope of its own."""

    def __init__(
        self, eps: float, scale: Tensor, shift: Tensor, mean: Tensor | None, variance: Tensor | None
    ) -> None:
        super().__init__(scale, shift)
        self.eps, self.mean, self.variance = eps, mean, variance

    def up(self, z: Tensor) -> Tensor:
        own = _mean(z)
        self.centred = z - own
        variance = _mean(self.centred.square()) if self.variance is None else _spread(self.variance)
        self.moved = self.centred if self.mean is None else z - _spread(self.mean)
        self.rate = (variance + self.eps).rsqrt()
        return torch.addcmul(_spread(self.shift), self.moved * self.rate, _spread(self.scale))

    def down(self, slope: Tensor) -> Tensor:
        self.slope, self.shift_gradient = slope, total(slope)
        self.scale_gradient = total(slope * self.moved * self.rate)
        self.normal_slope = slope * _spread(self.scale)
        self.first, self.second = _mean(self.normal_slope), _mean(self.normal_slope * self.moved)
        level = self.normal_slope - self.first
        return self.rate * level - self.rate**3 * self.second * self.centred

    def up_dot(self, z_dot: Tensor, scale_v: Tensor, shift_v: Tensor) -> Tensor:
        self.z_dot = z_dot - _mean(z_dot)
        self.rate_dot = -(self.rate**3) * _mean(self.centred * z_dot)
        normal_dot = self.rate * self.z_dot + self.rate_dot * self.moved
        moved = torch.addcmul(_spread(shift_v), normal_dot, _spread(self.scale))
        return moved.addcmul_(self.moved * self.rate, _spread(scale_v))

    def down_dot(self, slope_dot: Tensor, scale_v: Tensor) -> Tensor:
        both = slope_dot * _spread(self.scale) + self.slope * _spread(scale_v)
        second_dot = _mean(both * self.moved + self.normal_slope * self.z_dot)
        cubed = self.rate**3
        cubed_second_dot = 3 * self.rate**2 * self.rate_dot * self.second + cubed * second_dot
        return (
            self.rate_dot * (self.normal_slope - self.first)
            + self.rate * (both - _mean(both))
            - cubed_second_dot * self.centred
            - cubed * self.second * self.z_dot
        )


def _spread(values: Tensor) -> Tensor:
    """[channels] or [k, channels] over maps."""
    return values[..., None, None]


def total(maps: Tensor) -> Tensor:
    """Sums [k, channels], over images and places."""
    return maps.sum((0, 3, 4))


def _mean(maps: Tensor) -> Tensor:
    """[k, channels, 1, 1], over images and places."""
    return maps.mean((0, 3, 4))[..., None, None]
