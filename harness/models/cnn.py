"""The convolutional network of 'Privacy Attack in Federated Learning is Not Easy'."""

from torch import nn

from harness.core import Model, Shape, component


@component
class CNN(Model):
    """Two 3x3 convolutions and a hidden layer of 512, without dropout (fleak's CifarConvNetNoDropout)."""

    def network(self, shape: Shape, classes: int) -> nn.Module:
        channels, height, width = shape
        return nn.Sequential(
            nn.Conv2d(channels, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * (height // 2) * (width // 2), 512),
            nn.ReLU(),
            nn.Linear(512, classes),
        )
