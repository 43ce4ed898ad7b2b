"""Residual networks for small images."""

from torch import Tensor, nn

from harness.base.numbers import Depth, Width
from harness.core import Model, Shape, component
from harness.models.normalization import BatchNorm2d


@component
class ResNet(Model):
    """He et al. 2016 with a 3x3 stem and no max pooling, as Li et al. 2022 (GGL) attack it on CelebA-32.

    width 64, blocks 2: ResNet-18, 11.17 M parameters. width 16, blocks 1: ResNet-10, .31 M, the small scale. Blocks 3,
    4, 6, 3 make ResNet-34, with bottlenecks ResNet-50; 3, 4, 23, 3 with bottlenecks ResNet-101.
    """

    width: Width = 64
    """Channels of the first of four stages; each later stage doubles them and halves the image."""
    blocks: Depth | tuple[Depth, Depth, Depth, Depth] = 2
    """Residual blocks in each stage, or in each of the four."""
    bottleneck: bool = False
    """Blocks of 1x1, 3x3 and 1x1 convolutions, which leave four times as many channels (figure 5, right); the stride is
    that of the 3x3, as in torchvision."""

    def network(self, shape: Shape, classes: int) -> nn.Module:
        layers: list[nn.Module] = [*_convolution(shape[0], self.width, 3), nn.ReLU()]
        before = self.width
        for stage in range(4):
            inner = self.width * 2**stage
            for block in range(self.blocks if isinstance(self.blocks, int) else self.blocks[stage]):
                stride = 2 if stage > 0 and block == 0 else 1
                made = _bottleneck if self.bottleneck else _plain
                after = 4 * inner if self.bottleneck else inner
                layers.append(Block(before, after, stride, made(before, inner, stride)))
                before = after
        network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        return network


class Block(nn.Module):
    """Some convolutions beside a shortcut, projected where the shape changes."""

    def __init__(self, before: int, after: int, stride: int, residual: nn.Module) -> None:
        super().__init__()
        self.residual = residual
        same = stride == 1 and before == after
        self.shortcut = nn.Identity() if same else nn.Sequential(*_convolution(before, after, 1, stride))
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        activated: Tensor = self.activation(self.residual(x) + self.shortcut(x))
        return activated


def _plain(before: int, inner: int, stride: int) -> nn.Module:
    """Two 3x3 convolutions."""
    return nn.Sequential(*_convolution(before, inner, 3, stride), nn.ReLU(), *_convolution(inner, inner, 3))


def _bottleneck(before: int, inner: int, stride: int) -> nn.Module:
    """A 3x3 convolution between two that narrow and widen."""
    return nn.Sequential(
        *_convolution(before, inner, 1),
        nn.ReLU(),
        *_convolution(inner, inner, 3, stride),
        nn.ReLU(),
        *_convolution(inner, 4 * inner, 1),
    )


def _convolution(before: int, after: int, kernel: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    """A convolution without bias and its batch normalisation."""
    convolution = nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False)
    return convolution, BatchNorm2d(after)
