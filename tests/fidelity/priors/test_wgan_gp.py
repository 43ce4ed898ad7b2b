"""Generator, critic and objective of the trained prior, and of its untrained control."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.core import generator
from harness.priors.networks import ConvolutionalGenerator, critic
from harness.priors.training import Adversaries, Draws
from harness.priors.wgan_gp import WGANGP
from tests.fidelity.conftest import Fidelity

SHAPE = (3, 32, 32)


def normalised(x: Tensor, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> Tensor:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    parts = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    mean, variance, gamma, beta = (part.view(1, -1, *[1] * (x.ndim - 2)) for part in parts)
    return (x - mean) / (variance + 1e-5).sqrt() * gamma + beta


def doubled(x: Tensor, layer: nn.ConvTranspose2d) -> Tensor:
    """A transposed convolution with kernel 2 and stride 2: every pixel becomes a square of its own."""
    assert layer.bias is not None
    squares = torch.einsum("nihw,ioab->nohawb", x, layer.weight)
    n, o, h, _, w, _ = squares.shape
    return squares.reshape(n, o, 2 * h, 2 * w) + layer.bias[:, None, None]


def test_the_generator_doubles_a_small_map(fidelity: Fidelity) -> None:
    network = ConvolutionalGenerator(SHAPE, latent=128, base=512, kernel=2).double().eval()
    rng = generator("statistics")
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            for value in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
                assert value is not None
                value.copy_(torch.rand(value.shape, generator=rng) + 0.5)
        z = torch.randn(2, 128, generator=rng, dtype=torch.float64)
        (first,) = (m for m in network.modules() if isinstance(m, nn.Linear))
        ups = [m for m in network.modules() if isinstance(m, nn.ConvTranspose2d)]
        x = normalised(z @ first.weight.T + first.bias, norms[0]).clamp_min(0).view(2, 512, 4, 4)
        for up, norm in zip(ups, norms[1:], strict=False):
            x = normalised(doubled(x, up), norm).clamp_min(0)
        expected = (doubled(x, ups[-1]).tanh() + 1) / 2
    size = sum(value.numel() for value in network.parameters())
    widths = (512, 256, 128, 3)
    formula = 128 * 8192 + 3 * 8192 + sum(4 * a * b + b for a, b in pairwise(widths)) + 2 * (256 + 128)
    assert round(formula / 1e6, 2) == 1.73
    for name in ("wgan_gp", "untrained"):
        what = "1.73 M parameters of the generator (Li et al. 2022, code, CelebA)"
        fidelity("prior", name, what, size, formula, tolerance=0)
        what = (
            "linear to 512x4x4, transposed convolutions k2 s2 with BN and ReLU, tanh; to [0, 1] (GGL's code)"
        )
        fidelity("prior", name, what, network(z), expected)


def test_the_critic_halves_the_image(fidelity: Fidelity) -> None:
    network = critic(SHAPE, 128).double()
    x = torch.randn(2, *SHAPE, generator=generator("images"), dtype=torch.float64)
    *convolutions, last = (m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear))
    assert [m.weight.shape[0] for m in convolutions] == [128, 256, 512]
    with torch.no_grad():
        h = x
        for layer in convolutions:
            h = F.conv2d(h, layer.weight, layer.bias, 2, 1)
            h = torch.where(h > 0, h, 0.01 * h)
        expected = h.flatten(1) @ last.weight.T + last.bias
    what = "critic: conv3 s2 to 128, 256, 512 with leaky ReLU .01, linear (Li et al. 2022, code)"
    fidelity("prior", "wgan_gp", what, network(x).detach(), expected)


def test_the_critic_is_penalised_for_slopes_that_are_not_one(fidelity: Fidelity) -> None:
    prior = WGANGP(base=8, critic=4, latent=4)
    network, opponent = ConvolutionalGenerator(SHAPE, 4, 8, 2), critic(SHAPE, 4).double()
    module = Adversaries(prior, network, Draws(prior, torch.zeros(4, *SHAPE, dtype=torch.uint8), 0), opponent)
    rng = generator("images")
    real, fake = (10 * torch.randn(3, *SHAPE, generator=rng, dtype=torch.float64) for _ in range(2))
    mix = torch.rand(3, 1, 1, 1, generator=rng, dtype=torch.float64)

    penalty, distance = 0.0, 0.0
    for x, x_fake, share in zip(real, fake, mix, strict=True):
        between = (share * x + (1 - share) * x_fake).requires_grad_(True)
        (slope,) = torch.autograd.grad(opponent(between[None])[0, 0], between)
        penalty += (float(slope.square().sum().sqrt()) - 1) ** 2 / 3
        with torch.no_grad():
            distance += float(opponent(x_fake[None]) - opponent(x[None])) / 3
    what = "E D(fake) - E D(real) + 10 E (||grad D(mixed)|| - 1)^2 (Gulrajani et al. 2017, equation 3)"
    found = module.critic_loss(real, fake, mix).detach()
    fidelity("prior", "wgan_gp", what, found, distance + 10 * penalty)
