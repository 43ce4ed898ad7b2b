"""The convolutional network of 'Data Leakage in Federated Averaging'."""

import math

from torch import nn

from harness.core import Model, Shape, component

_TRUNCATED_STD = 0.87962566103423978
"""Standard deviation of a unit normal cut off at two: flax divides by it."""


@component
class CNN3(Model):
    """Dimitrov et al. 2022 (DLF), CIFAR-100: two 3x3 convolutions, average pooling, a hidden layer of 200."""

    def network(self, shape: Shape, classes: int) -> nn.Module:
        channels, height, width = shape
        network = nn.Sequential(
            nn.Conv2d(channels, 64, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(64, 128, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(128 * (height // 4) * (width // 4), 200),
            nn.ReLU(),
            nn.Linear(200, classes),
        )
        for layer in network:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                _lecun_normal(layer)
        return network


def _lecun_normal(layer: nn.Conv2d | nn.Linear) -> None:
    """flax's default initialisation: normal truncated at two sigma, variance 1 / fan in, zero bias."""
    std = 1 / math.sqrt(layer.weight[0].numel()) / _TRUNCATED_STD
    nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
