"""A small convolutional network whose hidden layer sees an embedding."""

from torch import nn

from harness.base.numbers import Width
from harness.core import Model, Shape, component


@component
class StridedCNN(Model):
    """Three 3x3 convolutions, the last two with stride 2, and a hidden layer (ours, for CPA-FI without a VGG)."""

    width: Width = 32
    """Channels of the first two convolutions; the third has twice as many."""
    hidden: Width = 256

    def network(self, shape: Shape, classes: int) -> nn.Module:
        channels, height, width = shape
        cells = -(-height // 4) * -(-width // 4)
        return nn.Sequential(
            nn.Conv2d(channels, self.width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(self.width, self.width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(self.width, 2 * self.width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2 * self.width * cells, self.hidden),
            nn.ReLU(),
            nn.Linear(self.hidden, classes),
        )
