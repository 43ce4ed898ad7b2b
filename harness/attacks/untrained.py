"""Generators that have learnt nothing, as attacks search for their weights."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from harness.attacks.solvers.variables import Variables

EPSILON = 1e-5
"""What torch adds to a variance."""
NOISE = "noise"
"""The name, among what is known of a problem, of the vectors that go into its generator."""


def drawn_weights(build: Callable[[], nn.Module], rng: torch.Generator) -> Variables:
    """The parameters of a network as its layers draw them, by the generator of an attempt."""
    seed = int(torch.randint(2**62, (), generator=rng))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return {name: value.detach() for name, value in build().named_parameters()}


def blueprint(build: Callable[[], nn.Module]) -> nn.Module:
    """A network without numbers: `generated` fills it."""
    with torch.device("meta"):
        return build()


def generated(network: nn.Module, weights: Variables, noise: Tensor) -> Tensor:
    """What a network makes of noise [n, latent] with these weights: pure, and differentiable in them."""
    made: Tensor = functional_call(network, weights, (noise,))
    return made


class BatchNorm(nn.Module):
    """Batch normalisation of a network that nobody has trained; it keeps no statistics.

    train: by those of the batch; eval: by mean 0 and variance 1, which no training has moved.
    """

    def __init__(self, channels: int, train: bool = True) -> None:
        super().__init__()
        self.by_batch = train
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] to the same shape."""
        if not self.by_batch:
            return x * self.weight[:, None, None] / math.sqrt(1 + EPSILON) + self.bias[:, None, None]
        normal: Tensor = nn.functional.batch_norm(x, None, None, self.weight, self.bias, True, eps=EPSILON)
        return normal
