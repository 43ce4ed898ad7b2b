"""VGG-16 for small images, of any width."""

from torch import nn

from harness.base.numbers import Width
from harness.core import Model, Shape, UserError, component

STAGES = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))
"""Channels of the convolutions before each pooling, as multiples of the width."""


@component
class VGG(Model):
    """Simonyan and Zisserman 2015, D, with a head for small images (Zhu et al. 2024, code): pooled to 2x2, and linear
    layers of 16, 16 and K. Widths are in `width`, 64 in the paper. Kaiming normal convolutions, N(0, .01) linear."""

    width: Width = 64

    def network(self, shape: Shape, classes: int) -> nn.Module:
        """Raises UserError for sides of less than 32 pixels, which five poolings leave nothing of."""
        channels, height, width = shape
        if min(height, width) < 32:
            raise UserError(f"VGG needs images of at least 32 x 32 pixels, not {height} x {width}")
        layers: list[nn.Module] = []
        for multiples in STAGES:
            for multiple in multiples:
                layers += [nn.Conv2d(channels, multiple * self.width, 3, padding=1), nn.ReLU()]
                channels = multiple * self.width
            layers.append(nn.MaxPool2d(2))
        hidden = 16 * self.width
        layers += [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, hidden), nn.ReLU()]
        layers += [nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, classes)]
        network = nn.Sequential(*layers)
        network.apply(_initialise)
        return network


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(layer, nn.Linear):
        nn.init.normal_(layer.weight, 0, 0.01)
    if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
        nn.init.zeros_(layer.bias)
