"""What the networks taken from torchvision have in common."""

from abc import ABC, abstractmethod
from typing import ClassVar, final

import torch
from torch import nn

from harness.core import AbsolutePath, Model, Shape, UserError, component
from harness.machine import vision as vision  # before torchvision
from harness.models.weights import load_weights


@component
class TorchvisionModel(Model, ABC):
    """A network of torchvision's, made fit for second derivatives and for images that are not RGB."""

    smallest: ClassVar[int] = 1
    """The least height and width that the network can take."""

    weights: AbsolutePath | None = None
    """A checkpoint file of torchvision's; null: random weights."""

    @abstractmethod
    def architecture(self, classes: int) -> nn.Module:
        """torchvision's own network for RGB images, randomly initialised."""

    @final
    def network(self, shape: Shape, classes: int) -> nn.Module:
        channels, height, width = shape
        if min(height, width) < self.smallest:
            least = f"{self.smallest} x {self.smallest}"
            raise UserError(
                f"{type(self).__name__} needs images of at least {least} pixels, not {height} x {width}"
            )
        network = self.architecture(classes)
        if channels != 3:
            _replace_stem(network, channels)
        for module in network.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False
        if self.weights is not None:
            load_weights(network, self.weights)
        return network


def _replace_stem(network: nn.Module, channels: int) -> None:
    """Give the first convolution new weights, for another number of channels."""
    stem = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    stem.in_channels = channels
    stem.weight = nn.Parameter(torch.empty(stem.out_channels, channels, *stem.kernel_size))
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
