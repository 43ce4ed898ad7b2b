"""The ConvNet of 'Inverting Gradients'."""

from torch import nn

from harness.base.numbers import Width
from harness.core import Model, Shape, UserError, component
from harness.models.normalization import BatchNorm2d


@component
class ConvNet(Model):
    """Geiping et al. 2020 (IG): eight 3x3 convolutions with batch normalisation; ConvNet64 has width 64."""

    width: Width = 64
    """Channels of the first convolution; the last have four times as many."""

    def network(self, shape: Shape, classes: int) -> nn.Module:
        channels, height, width = shape
        features = (height // 9) * (width // 9)
        if not features:
            raise UserError(f"ConvNet needs images of at least 9 x 9 pixels, not {height} x {width}")
        w = self.width
        return nn.Sequential(
            _stage(channels, (w, 2 * w, 2 * w, 4 * w, 4 * w, 4 * w)),
            nn.MaxPool2d(3),
            _stage(4 * w, (4 * w, 4 * w)),
            nn.MaxPool2d(3),
            nn.Flatten(),
            nn.Linear(4 * w * features, classes),
        )


def _stage(channels: int, widths: tuple[int, ...]) -> nn.Module:
    """Convolution, batch normalisation and ReLU, once for each width."""
    layers: list[nn.Module] = []
    for before, after in zip((channels, *widths), widths, strict=False):
        layers += [nn.Conv2d(before, after, 3, padding=1), BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)
