"""GIAS finds an image of its generator, and by the weights one that the generator can not make."""

from dataclasses import replace

import torch

from harness.attacks.gias import GIAS
from harness.attacks.solvers.adam import Adam
from harness.attacks.solvers.phases import Phases
from harness.core import Batch, Knowledge, Problem
from harness.labels.analytic import Analytic
from tests.attacks.test_ggl import Toy
from tests.conftest import Observe

RULE = Phases(steps=40, first=Adam(lr=0.1, signed=True), second=Adam(lr=0.02, signed=True, schedule="step"))
ATTACK = GIAS(optimizer=RULE, labels=Analytic(), steps=100)


def test_the_weights_go_on_where_the_latent_space_ends(observe: Observe, batch: Batch) -> None:
    one = Batch(batch.x[:1], batch.y[:1])
    seen = observe(one, knowledge=Knowledge(labels=one.y, prior=Toy()))
    (latent,) = replace(ATTACK, steps=40)([Problem(0, seen, seed=1)])
    (both,) = ATTACK([Problem(0, seen, seed=1)])
    assert both.loss < 0.5 * latent.loss
    assert torch.equal(seen.knowledge.prior.basis, Toy().basis), "the attacker's generator stays"  # type: ignore[union-attr]
