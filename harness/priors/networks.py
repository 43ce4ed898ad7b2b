"""The convolutional generator and critic of Li et al. 2022, for images of any size that halves often enough."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from harness.core import Generator, Shape, UserError
from harness.models.normalization import BatchNorm1d, BatchNorm2d


def stages(shape: Shape) -> int:
    """How often both sides can be halved while at least 4 pixels remain: 3 for 32x32, 2 for 28x28."""
    _, height, width = shape
    count = 0
    while height % 2 == 0 and width % 2 == 0 and min(height, width) >= 8:
        height, width, count = height // 2, width // 2, count + 1
    if count == 0:
        raise UserError(f"a convolutional prior needs even sides of at least 8 pixels, not {height}x{width}")
    return count


class ConvolutionalGenerator(Generator):
    """z to a small map of `base` channels; transposed convolutions double it and halve the channels.

    With latent 128, base 512 and kernel 2 this is the generator of Li et al. 2022 for 32x32 (its code, "DCGAN").
    """

    def __init__(self, shape: Shape, latent: int, base: int, kernel: int) -> None:
        super().__init__()
        count = stages(shape)
        if base >> (count - 1) == 0:
            raise UserError(f"base={base} can't be halved {count - 1} times: raise it")
        channels, height, width = shape
        small = (base, height >> count, width >> count)
        widths = [base >> i for i in range(count)]
        layers: list[nn.Module] = [
            nn.Linear(latent, small[0] * small[1] * small[2]),
            BatchNorm1d(small[0] * small[1] * small[2]),
            nn.ReLU(),
            nn.Unflatten(1, small),
        ]
        for wide, narrow in pairwise(widths):
            layers += [_double(wide, narrow, kernel), BatchNorm2d(narrow), nn.ReLU()]
        layers += [_double(widths[-1], channels, kernel), nn.Tanh()]
        self.latent = latent
        self.network = nn.Sequential(*layers)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """z [n, latent] ~ N(0, I) to images [n, c, h, w] in [0, 1]; knows no classes."""
        images: Tensor = (self.network(z) + 1) / 2
        return images


def _double(inputs: int, outputs: int, kernel: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, kernel, stride=2, padding=(kernel - 2) // 2)


def critic(shape: Shape, width: int) -> nn.Sequential:
    """Images in [-1, 1] to one score each: the critic of Li et al. 2022, without normalisation (width 128 there)."""
    count = stages(shape)
    channels, height, length = shape
    widths = [channels, *(width << i for i in range(count))]
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.LeakyReLU(0.01)]
    features = widths[-1] * (height >> count) * (length >> count)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, 1))


@torch.no_grad()
def estimate_statistics(
    generator: ConvolutionalGenerator, rng: torch.Generator, batches: int = 20, batch_size: int = 256
) -> None:
    """Replace the running statistics of batch normalisation by averages over fresh latent vectors.

    Averaged weights have statistics of their own, which training never sees.
    """
    norms = [m for m in generator.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    generator.train()
    for _ in range(batches):
        generator(torch.randn(batch_size, generator.latent, generator=rng))
    generator.eval()
