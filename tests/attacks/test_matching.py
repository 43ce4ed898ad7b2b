"""Matching objectives: zero at the truth, right against brute force, aware of known defences."""

import pytest
import torch
from torch import Tensor

from harness.attacks.dlg import DLG
from harness.attacks.ggl import GGL, kl_divergence, norm_deviation
from harness.attacks.gradinversion import GradInversion
from harness.attacks.idlg import IDLG
from harness.attacks.inverting import InvertingGradients
from harness.attacks.matching import (
    cosine_distance,
    estimate_defenses,
    squared_distance,
    total_variation,
    trial_update,
)
from harness.attacks.optimization import OptimizationAttack
from harness.attacks.solvers.adam import Adam
from harness.core import Batch, Generator, Knowledge, Protocol, generator
from harness.defenses.clipping import Clipping
from harness.defenses.soteria import Soteria
from harness.defenses.sparsification import Sparsification
from harness.federated.fedavg import FedAvg
from harness.federated.fedsgd import FedSGD
from harness.labels.llg_star import LLGStar
from tests.conftest import Observe

LABELS = LLGStar()
ADAM = Adam(lr=0.1)
PROTOCOLS = [
    FedSGD(batch_size=3),
    FedAvg(examples_per_client=3, batch_size=2, local_epochs=2, lr=0.1),
    FedAvg(examples_per_client=3, batch_size=3, local_epochs=5, lr=0.01, scaling="per_lr"),
]


class Oracle(Generator):
    """A generator that knows the truth: any latent vector gives it."""

    latent = 2

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.images = images

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return self.images + 0 * z.sum()


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=repr)
@pytest.mark.parametrize(
    "attack",
    [
        DLG(steps=1, optimizer=ADAM),
        IDLG(steps=1, optimizer=ADAM, labels=LABELS),
        InvertingGradients(steps=1, optimizer=ADAM, labels=LABELS, total_variation=0),
        InvertingGradients(steps=1, optimizer=ADAM, labels=LABELS, total_variation=0, distance="l2"),
        GradInversion(steps=1, optimizer=ADAM, labels=LABELS, total_variation=0, l2=0),
        GGL(steps=1, optimizer=ADAM, labels=LABELS, kl=0),
        GGL(steps=1, optimizer=ADAM, labels=LABELS, kl=0, distance="cosine"),
    ],
    ids=lambda attack: f"{type(attack).__name__}-{getattr(attack, 'distance', 'l2')}",
)
def test_the_truth_has_zero_loss(
    attack: OptimizationAttack, protocol: Protocol, observe: Observe, batch: Batch
) -> None:
    observation = observe(batch, protocol, Knowledge(labels=batch.y, prior=Oracle(batch.x)))
    variables = {
        "images": observation.model.normalize(batch.x),
        "logits": 1e4 * torch.nn.functional.one_hot(batch.y, observation.classes).double(),
        "latent": torch.randn(3, 2, dtype=torch.float64),
    }
    assert abs(float(attack.loss(variables, observation, attack.prepare(observation)))) < 1e-20
    off = variables | {"images": variables["images"] + 0.1}
    if not isinstance(attack, GGL):
        assert float(attack.loss(off, observation, attack.prepare(observation))) > 1e-9


@pytest.mark.parametrize(
    "defense", [Clipping(bound=0.01), Sparsification(percent=60), Soteria(percent=40)], ids=repr
)
def test_an_adaptive_attacker_has_zero_loss_at_the_truth(
    defense: Clipping | Sparsification | Soteria, observe: Observe, batch: Batch
) -> None:
    from dataclasses import replace

    plain = observe(batch)
    sent = defense.on_update(plain.update, plain.model, plain.params, batch, generator("d"))
    observation = replace(plain, update=sent, knowledge=Knowledge(adaptations=defense.adaptations()))
    known = estimate_defenses(observation)
    adapted = squared_distance(trial_update(batch, observation, known), sent)
    naive = squared_distance(trial_update(batch, replace(plain, update=sent), {}), sent)
    assert float(adapted) < 1e-2 * float(naive)


def test_distances_against_one_long_vector(observe: Observe, batch: Batch) -> None:
    one, other = observe(batch).update, observe(Batch(batch.x.flip(0), batch.y)).update
    a, b = (torch.cat([g.flatten() for g in update.values()]) for update in (one, other))
    torch.testing.assert_close(squared_distance(one, other), (a - b).square().sum())
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=0)
    torch.testing.assert_close(cosine_distance(one, other), 1 - cosine)
    torch.testing.assert_close(
        cosine_distance({k: 7 * g for k, g in one.items()}, other), cosine_distance(one, other)
    )


def test_total_variation_of_a_step_edge() -> None:
    image = torch.zeros(1, 1, 4, 4)
    image[..., 2:] = 1
    assert float(total_variation(image)) == pytest.approx(4 / 12)
    assert float(total_variation(torch.full((2, 3, 5, 5), 0.7))) == 0


def test_latent_regularisers() -> None:
    z = torch.randn(1, 4096, generator=generator("z"), dtype=torch.float64)
    standard = (z - z.mean()) / z.std(unbiased=False)
    assert float(kl_divergence(standard)) == pytest.approx(0, abs=1e-8)
    assert float(kl_divergence(2 * standard + 1)) == pytest.approx(
        -0.5 * (1 + torch.tensor(4.0).log() - 1 - 4)
    )
    assert float(norm_deviation(standard)) == pytest.approx(0, abs=1e-12)
    assert float(norm_deviation(torch.zeros(2, 3))) == 18
