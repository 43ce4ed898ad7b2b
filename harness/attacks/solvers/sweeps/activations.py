"""Activations with their first two derivatives."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from harness.attacks.solvers.batches import sigmoid

LINEAR = 20


class Activation(ABC):
    """An activation at the sums a of one unit."""

    out: Tensor

    @abstractmethod
    def first(self, slope: Tensor) -> Tensor:
        """f'(a) times a slope, or times the derivative of a."""

    @abstractmethod
    def second(self, slope: Tensor, a_dot: Tensor) -> Tensor | None:
        """f''(a) times both; None: it is zero."""


class Identity(Activation):
    """None at all."""

    def __init__(self, a: Tensor) -> None:
        self.out = a

    def first(self, slope: Tensor) -> Tensor:
        return slope

    def second(self, slope: Tensor, a_dot: Tensor) -> None:
        return None


class Rectified(Activation):
    """ReLU."""

    def __init__(self, a: Tensor) -> None:
        self.out = a.relu_()

    def first(self, slope: Tensor) -> Tensor:
        found: Tensor = torch.ops.aten.threshold_backward(slope, self.out, 0)
        return found

    def second(self, slope: Tensor, a_dot: Tensor) -> None:
        return None


class Leaky(Activation):
    """ReLU with a slope below zero."""

    def __init__(self, a: Tensor, below: float) -> None:
        self.out = nn.functional.leaky_relu(a, below)
        self.derivative = torch.ones_like(a).masked_fill_(a <= 0, below)

    def first(self, slope: Tensor) -> Tensor:
        return slope * self.derivative

    def second(self, slope: Tensor, a_dot: Tensor) -> None:
        return None


class Smooth(Activation):
    """Whose values and first two derivatives are given."""

    def __init__(self, out: Tensor, derivative: Tensor, curvature: Tensor) -> None:
        self.out, self.derivative, self.curvature = out, derivative, curvature

    def first(self, slope: Tensor) -> Tensor:
        return slope * self.derivative

    def second(self, slope: Tensor, a_dot: Tensor) -> Tensor:
        return slope * self.curvature * a_dot


def _sigmoid(a: Tensor) -> Smooth:
    out = sigmoid(a)
    derivative = out * (1 - out)
    return Smooth(out, derivative, derivative * (1 - 2 * out))


def _tanh(a: Tensor) -> Smooth:
    out = a.tanh()
    derivative = 1 - out * out
    return Smooth(out, derivative, -2 * out * derivative)


def _softplus(a: Tensor) -> Smooth:
    """Above LINEAR, as torch has it, the sum itself."""
    straight = a > LINEAR
    derivative = sigmoid(a).masked_fill_(straight, 1)
    bent = (derivative * (1 - derivative)).masked_fill_(straight, 0)
    return Smooth(torch.where(straight, a, a.clamp(min=0) + a.abs().neg_().exp_().log1p_()), derivative, bent)


def _gelu(a: Tensor) -> Smooth:
    density = torch.exp(-a * a / 2) / (2 * torch.pi) ** 0.5
    share = torch.special.ndtr(a)
    return Smooth(nn.functional.gelu(a), share + a * density, (2 - a * a) * density)


KNOWN: dict[type[nn.Module], Callable[[Any, Tensor], Activation]] = {
    nn.Identity: lambda _, a: Identity(a),
    nn.ReLU: lambda _, a: Rectified(a),
    nn.LeakyReLU: lambda layer, a: Leaky(a, layer.negative_slope),
    nn.Sigmoid: lambda _, a: _sigmoid(a),
    nn.Tanh: lambda _, a: _tanh(a),
    nn.Softplus: lambda _, a: _softplus(a),
    nn.GELU: lambda _, a: _gelu(a),
}
"""By the layer that is meant."""
