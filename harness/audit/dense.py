"""What a dense layer's part of an update gives away in closed form: how many inputs, and which."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

TAIL = 1.5
"""A singular value this many times above the largest of noise alone belongs to an input."""
FALL = 3.0
"""The least quotient of successive singular values that tells inputs from noise."""


@dataclass(frozen=True, eq=False)
class Dense:
    """A dense layer z = W x + b as the server knows it, and the gradient that it received of it, all in float64.

    `slope` [units, inputs] and `slope_bias` [units]; `roundings` [units, inputs + 1] are the deviations of the
    entries by rounding, where they are known (of a difference of weights).
    """

    name: str
    weight: Tensor
    bias: Tensor
    slope: Tensor
    slope_bias: Tensor
    roundings: Tensor | None = None

    @property
    def noise(self) -> float:
        """The deviation of an entry of the weight's slope by rounding; 0 where it is not known."""
        return 0.0 if self.roundings is None else float(self.roundings[:, :-1].square().mean().sqrt())

    @property
    def together(self) -> Tensor:
        """[units, inputs + 1]: the bias's gradient is that of an input which is always one."""
        return torch.cat([self.slope, self.slope_bias[:, None]], 1)

    @cached_property
    def singular(self) -> tuple[Tensor, Tensor, Tensor]:
        """U, S, Vh of `together`, by the eigenvectors of the smaller Gram matrix where many singular values are nil."""
        found: tuple[Tensor, Tensor, Tensor] = torch.linalg.svd(self.together, full_matrices=False)
        return found

    @cached_property
    def rank(self) -> int | None:
        """How many distinct inputs stand behind the gradient: where its singular values fall most.

        None where there may be more than can be told, or nothing.
        """
        _, values, _ = self.singular
        units, inputs = self.together.shape
        reached = self.noise * (math.sqrt(units) + math.sqrt(inputs))
        floor = max(TAIL * reached, 1e-13 * float(values[0]), torch.finfo(torch.float64).tiny)
        falls = values[:-1] / values[1:].clamp_min(floor)
        falls[values[:-1] <= floor] = 0
        found = int(falls[: len(falls) // 2].argmax()) + 1
        return found if float(falls[found - 1]) > FALL else None

    @cached_property
    def deviation(self) -> float:
        """Of an entry by noise: what is known of it, or more where the first value that no input has shows more."""
        _, values, _ = self.singular
        shown = float(values[self.rank]) if self.rank else 0.0
        units, inputs = self.together.shape
        return max(self.noise, shown / (math.sqrt(units) + math.sqrt(inputs)))


def single_input(dense: Dense) -> tuple[Tensor, float]:
    """The one input [inputs] behind a gradient, by least squares over the units, and the relative residual.

    A residual above about 1e-3 says that there were several inputs.
    """
    square = dense.slope_bias.square().sum()
    found = dense.slope_bias @ dense.slope / square
    residual = (dense.slope - dense.slope_bias[:, None] * found).norm() / dense.slope.norm()
    return found, float(residual)
