"""The LeNet variant of the DLG and iDLG papers."""

from torch import nn

from harness.core import Model, Shape, component


@component
class LeNet(Model):
    """Zhu et al. 2019 (DLG): sigmoids, strides in place of pooling, weights and biases from U(-.5, .5)."""

    def network(self, shape: Shape, classes: int) -> nn.Module:
        channels, height, width = shape
        quarter = -(-height // 4) * -(-width // 4)
        network = nn.Sequential(
            nn.Conv2d(channels, 12, 5, stride=2, padding=2),
            nn.Sigmoid(),
            nn.Conv2d(12, 12, 5, stride=2, padding=2),
            nn.Sigmoid(),
            nn.Conv2d(12, 12, 5, stride=1, padding=2),
            nn.Sigmoid(),
            nn.Flatten(),
            nn.Linear(12 * quarter, classes),
        )
        for parameter in network.parameters():
            nn.init.uniform_(parameter, -0.5, 0.5)
        return network
