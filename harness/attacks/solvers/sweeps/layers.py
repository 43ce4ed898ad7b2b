"""A convolution and its batch normalisation in one sweep, with the gradients in their three parameters."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from harness.attacks.solvers.sweeps.convolutions import ConvolutionPass, Grouped, combined, inner, summed
from harness.attacks.solvers.sweeps.normalizations import NormalizationPass, Running, total
from harness.attacks.solvers.units import Unit
from harness.core import Params


class LayerPass(ABC):
    """Maps h to y; v is a direction in the parameters, and a derivative along it a `_dot`."""

    def __init__(self, unit: Unit) -> None:
        self.weight_name = f"{unit.convolution}.weight"
        self.scale_name, self.shift_name = f"{unit.normalization}.weight", f"{unit.normalization}.bias"

    @abstractmethod
    def up(self, h: Tensor) -> Tensor:
        """y."""

    @abstractmethod
    def down(self, slope: Tensor, on: bool) -> Tensor | None:
        """Take the loss's slope in y, and return that in h, if it goes `on`."""

    @abstractmethod
    def gradient(self) -> Params:
        """In the three parameters [k, ...], the weight's packed; it is kept."""

    def products(self, received: Params) -> tuple[Tensor, Tensor]:
        """<gradient, received> and the gradient's squared length [k]."""
        pairs = [(inner(g, received[name]), inner(g, g)) for name, g in self.gradient().items()]
        first, second = zip(*pairs, strict=True)
        return summed(first), summed(second)

    @abstractmethod
    def aim(self, a: Tensor, c: Tensor, received: Params) -> None:
        """Let v be a * received + c * gradient, for a and c [k], and the gradient that is kept."""

    @abstractmethod
    def up_dot(self, h_dot: Tensor | None) -> Tensor:
        """The derivative of y; that of h is zero where it is None."""

    @abstractmethod
    def down_dot(self, slope_dot: Tensor) -> Tensor:
        """The derivative of the slope in h."""


class Normalized(LayerPass):
    """One after the other."""

    def __init__(self, unit: Unit, convolution: ConvolutionPass, normalization: NormalizationPass) -> None:
        super().__init__(unit)
        self.convolution, self.normalization = convolution, normalization

    def up(self, h: Tensor) -> Tensor:
        return self.normalization.up(self.convolution.up(h))

    def down(self, slope: Tensor, on: bool) -> Tensor | None:
        return self.convolution.down(self.normalization.down(slope), on)

    def gradient(self) -> Params:
        return {self.weight_name: self.convolution.gradient()} | self._own()

    def _own(self) -> Params:
        return {
            self.scale_name: self.normalization.scale_gradient,
            self.shift_name: self.normalization.shift_gradient,
        }

    def products(self, received: Params) -> tuple[Tensor, Tensor]:
        first, second = self.convolution.products(received[self.weight_name])
        for name, g in self._own().items():
            first, second = first + inner(g, received[name]), second + inner(g, g)
        return first, second

    def aim(self, a: Tensor, c: Tensor, received: Params) -> None:
        self.convolution.aim(a, c, received[self.weight_name])
        self.v = {name: combined(a, received[name], c, g) for name, g in self._own().items()}

    def up_dot(self, h_dot: Tensor | None) -> Tensor:
        z_dot = self.convolution.up_dot(h_dot)
        return self.normalization.up_dot(z_dot, self.v[self.scale_name], self.v[self.shift_name])

    def down_dot(self, slope_dot: Tensor) -> Tensor:
        return self.convolution.down_dot(self.normalization.down_dot(slope_dot, self.v[self.scale_name]))


class Folded(LayerPass):
    """Both in one convolution with a bias, by running statistics: no more passes over maps than a convolution has.

    With f = scale * rate it is f W h + shift - mean * f, and the gradient in W is f times that in f W.
    """

    def __init__(self, unit: Unit, weight: Tensor, normalization: Running) -> None:
        super().__init__(unit)
        self.own, self.normalization = weight, normalization
        factor, mean = normalization.factor, normalization.mean
        bias = normalization.shift - mean * factor
        self.convolution = Grouped(unit, weight * _over(factor), bias)

    def up(self, h: Tensor) -> Tensor:
        return self.convolution.up(h)

    def down(self, slope: Tensor, on: bool) -> Tensor | None:
        self.slope = slope
        return self.convolution.down(slope, on)

    def gradient(self) -> Params:
        folded, shift = self.convolution.gradient(), total(self.slope)
        line = self.normalization
        scale = line.rate * ((folded * self.own).flatten(2).sum(2) - line.mean * shift)
        self.g = {
            self.weight_name: folded * _over(line.factor),
            self.scale_name: scale,
            self.shift_name: shift,
        }
        return self.g

    def aim(self, a: Tensor, c: Tensor, received: Params) -> None:
        weight, scale, shift = (combined(a, received[name], c, g) for name, g in self.g.items())
        factor_v = scale * self.normalization.rate
        folded = torch.addcmul(weight * _over(self.normalization.factor), self.own, _over(factor_v))
        self.convolution.along(folded, shift - self.normalization.mean * factor_v)

    def up_dot(self, h_dot: Tensor | None) -> Tensor:
        return self.convolution.up_dot(h_dot)

    def down_dot(self, slope_dot: Tensor) -> Tensor:
        return self.convolution.down_dot(slope_dot)


def _over(values: Tensor) -> Tensor:
    """[..., out] over weights [..., out, in, kernel, kernel]."""
    return values[..., None, None, None]
