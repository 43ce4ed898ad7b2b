"""DMGAN beside Hitaj et al. 2017: one turn of generator and discriminator, and of Adam's where that is set."""

import copy

import pytest
import torch
from torch import Tensor

from harness.attacks.dmgan import GenerativeAdversary
from harness.core import Batch, generator
from harness.datasets.digits import Digits32
from harness.models.mlp import MLP
from tests.fidelity.conftest import Fidelity

RATES, DECAY, FAKE = (0.02, 0.03), 0.1, 10


def entropy(logits: Tensor, labels: Tensor) -> Tensor:
    picked = logits.gather(1, labels[:, None])[:, 0]
    return (torch.logsumexp(logits, 1) - picked).mean()


def moved(value: Tensor, slope: Tensor, rate: float, optimizer: str) -> Tensor:
    """The first step of either: Adam's moments, without their bias, are the slope and its square."""
    g = slope + DECAY * value
    return value - rate * (g if optimizer == "sgd" else g / (g.abs() + 1e-8))


@pytest.mark.parametrize(("name", "optimizer"), [("dmgan", "sgd"), ("dmgan_small", "adam")])
def test_a_turn_of_both(name: str, optimizer: str, fidelity: Fidelity) -> None:
    adversary = GenerativeAdversary(
        steps=1, batch_size=6, optimizer=optimizer, generator_lr=RATES[0], discriminator_lr=RATES[1],
        weight_decay=DECAY, fakes=0, latent=5, base=8,
    )  # type: ignore[arg-type]  # fmt: skip
    model = MLP(hidden=4, extra_outputs=1, nonlinearity="tanh").build(Digits32(), 0).double()
    state = adversary.begin((1, 32, 32), 0).double()
    rng = generator("images")
    held = Batch(torch.rand(9, 1, 32, 32, generator=rng).double(), torch.arange(9))

    made, critic = copy.deepcopy(state.generator), copy.deepcopy(model).requires_grad_(True)
    draws = generator("act")
    noise = torch.randn(6, 5, generator=draws).double()
    rows = torch.randint(9, (6,), generator=draws)
    wanted = entropy(critic(made.train()(noise)), torch.full((6,), 3))
    slopes = torch.autograd.grad(wanted, list(made.parameters()))
    with torch.no_grad():
        for value, slope in zip(made.parameters(), slopes, strict=True):
            value.copy_(moved(value, slope, RATES[0], optimizer))
    told = entropy(critic(held.x[rows]), held.y[rows])
    told = told + entropy(critic(made.eval()(noise).detach()), torch.full((6,), FAKE))
    slopes = torch.autograd.grad(told, list(critic.parameters()))
    expected = {
        name: moved(value.detach(), slope, RATES[1], optimizer)
        for (name, value), slope in zip(critic.named_parameters(), slopes, strict=True)
    }

    begun, _ = adversary.act(state, model, held, 1, generator("act"))
    fidelity(
        "attack",
        name,
        f"G by CE(D(G(z)), class), then D by CE(D(x), y) + CE(D(G(z)), fake), {optimizer} (Hitaj et al. 2017, "
        "algorithm 1; code of Zhu et al. 2024)",
        begun | {f"G.{key}": value for key, value in state.generator.named_parameters()},
        expected | {f"G.{key}": value for key, value in made.named_parameters()},
    )
