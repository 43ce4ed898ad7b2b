"""LeNet-5 as the victim of GRNN."""

from torch import nn

from harness.core import Model, Shape, UserError, component


@component
class LeNet5(Model):
    """Ren et al. 2022 (code): sigmoids, max pooling, three linear layers, weights and biases from U(-.5, .5)."""

    def network(self, shape: Shape, classes: int) -> nn.Module:
        """Raises UserError for sides of less than 16 pixels, which leave nothing after the second pooling."""
        channels, height, width = shape
        if min(height, width) < 16:
            raise UserError(f"LeNet-5 needs images of at least 16x16 pixels, not {height}x{width}")
        sides = [((side - 4) // 2 - 4) // 2 for side in (height, width)]
        network = nn.Sequential(
            nn.Conv2d(channels, 6, 5),
            nn.Sigmoid(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.Sigmoid(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(16 * sides[0] * sides[1], 120),
            nn.Sigmoid(),
            nn.Linear(120, 84),
            nn.Sigmoid(),
            nn.Linear(84, classes),
        )
        for parameter in network.parameters():
            nn.init.uniform_(parameter, -0.5, 0.5)
        return network
