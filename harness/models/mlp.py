"""A fully connected network with one hidden layer."""

from math import prod

from torch import nn

from harness.base.numbers import Width
from harness.core import Model, Shape, component


@component
class MLP(Model):
    """Linear, ReLU, linear: `fc2` of Kariyappa et al. 2023 (CPA)."""

    hidden: Width = 256

    def network(self, shape: Shape, classes: int) -> nn.Module:
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(prod(shape), self.hidden),
            nn.ReLU(),
            nn.Linear(self.hidden, classes),
        )
