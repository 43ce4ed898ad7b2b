"""GGL on an image of its own generator: both optimisers find it, and adaptation is what beats clipping."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from harness.attacks.ggl import GGL
from harness.attacks.solvers.adam import Adam
from harness.attacks.solvers.nevergrad import NevergradCMA
from harness.attacks.solvers.optimizer import Optimizer
from harness.core import Batch, Generator, Knowledge, Observation, Problem, generator
from harness.defenses.clipping import Clipping
from harness.labels.llg_star import LLGStar
from tests.conftest import Observe


class Toy(Generator):
    """A smooth generator of 8x8 images with six latent dimensions."""

    latent = 6

    def __init__(self) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.randn(6, 64, generator=generator("basis"), dtype=torch.float64))

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return (0.5 * z.double() @ self.basis).sigmoid().view(-1, 1, 8, 8)


@pytest.fixture
def secret() -> Batch:
    z = torch.randn(1, 6, generator=generator("secret"), dtype=torch.float64)
    return Batch(Toy()(z, torch.zeros(1)).detach(), torch.tensor([2]))


def attacked(
    observation: Observation, optimizer: Optimizer, steps: int, per_round: int
) -> tuple[Tensor, list[float]]:
    attack = GGL(optimizer=optimizer, labels=LLGStar(), steps=steps, per_round=per_round, kl=0)
    (found,) = attack([Problem(0, observation, seed=1)])
    return found.x, [point["loss"] for point in found.trace] + [found.loss]


@pytest.mark.parametrize(
    ("optimizer", "steps", "per_round"),
    [(NevergradCMA(), 20, 15), (Adam(lr=0.1, signed=True, schedule="step"), 150, 1)],
    ids=["cma", "adam"],
)
def test_an_image_of_the_generator_is_found(
    optimizer: Optimizer, steps: int, per_round: int, observe: Observe, secret: Batch
) -> None:
    observation = observe(secret, knowledge=Knowledge(prior=Toy()))
    found, losses = attacked(observation, optimizer, steps, per_round)
    assert losses[-1] == min(losses)
    assert losses[-1] < 1e-2 * losses[0]
    assert float((found - secret.x).square().mean()) < 1e-2


def test_adaptation_is_what_beats_clipping(observe: Observe, secret: Batch) -> None:
    plain = observe(secret)
    defense = Clipping(bound=0.3 * float(torch.stack([g.norm() for g in plain.update.values()]).norm()))
    sent = defense.on_update(plain.update, plain.model, plain.params, secret, generator("d"))
    errors = []
    for adaptations in ((), defense.adaptations()):
        knowledge = Knowledge(prior=Toy(), adaptations=adaptations)
        observation = replace(plain, update=sent, knowledge=knowledge)
        found, _ = attacked(observation, Adam(lr=0.1, signed=True, schedule="step"), 150, 1)
        errors.append(float((found - secret.x).square().mean()))
    assert errors[1] < 1e-3
    assert errors[1] < 0.1 * errors[0]
