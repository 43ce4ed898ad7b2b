"""A protocol from outside the harness works with every attack and every label rule, at its own scale."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from harness.attacks.matching import squared_distance, trial_update
from harness.config.composition import compose
from harness.config.experiment import Experiment
from harness.core import Batch, Params, Protocol, component
from harness.core.gradient import Gradient
from harness.runs.clients import Clients

CONF = Path(__file__).parents[2] / "conf"
SMALL = ("dataset=digits32", "model=mlp", "model.hidden=16", "defense=none", "trials=1", "logger=none")


@component
class Accumulating(Protocol):
    """The client adds up the gradients of its minibatches, all at the weights that it was sent, and sends seven times
    their sum; for itself it takes the step."""

    lr: float = 0.05
    held: int = 4

    @property
    def examples(self) -> int:
        return self.held

    def compute(
        self,
        model: nn.Module,
        params: Params,
        batch: Batch,
        order: Sequence[Tensor] | None,
        gradient: Gradient,
    ) -> Params:
        steps = torch.arange(len(batch)).split(self.batch_size)
        found = [gradient(model, params, Batch(batch.x[step], batch.y[step])) for step in steps]
        return {name: 7 * torch.stack([each[name] for each in found]).sum(0) for name in params}

    def local_steps(self, examples: int) -> int:
        return -(-examples // self.batch_size)

    def mean_gradient(self, update: Params, examples: int) -> Params:
        return {name: value / (7 * self.local_steps(examples)) for name, value in update.items()}

    def trained_params(self, params: Params, update: Params, examples: int) -> Params:
        return {name: value - self.lr / 7 * update[name] for name, value in params.items()}


def given(held: int, *overrides: str) -> Experiment:
    return dataclasses.replace(compose(*SMALL, *overrides), fl=Accumulating(batch_size=2, held=held))


LEARNING = ["knowledge.public=true", "model=mlp", "model.hidden=16", "model.fresh=false"]
NEEDS = {
    "rtf": ["model=imprint_mlp", "model.base.hidden=16"],
    "quotients": ["model=mlp", "model.hidden=16"],
    "cpa": ["model=mlp", "model.hidden=16"],
    "cpa_small": ["model=mlp", "model.hidden=16"],
    "cpa_fi": ["model=strided_cnn", "model.width=4", "model.hidden=16", "attack.unmixing.steps=3"],
    "cpa_fi_small": ["model=strided_cnn", "model.width=4", "model.hidden=16", "attack.unmixing.steps=3"],
    "lti": [*LEARNING, "attack.hidden=8", "attack.updates=20"],
    "lti_small": [*LEARNING, "attack.hidden=8", "attack.updates=20"],
    "public_mean": LEARNING,
    "public_class_mean": LEARNING,
}
"""What attacks ask for, beside the settings of all."""


IN_ROUNDS = {"none", "dmgan", "dmgan_small"}
"""Attacks, and none, on rounds alone."""


@pytest.mark.parametrize("name", sorted({path.stem for path in (CONF / "attack").glob("*.yaml")} - IN_ROUNDS))
def test_every_attack_meets_its_update(name: str) -> None:
    needs = NEEDS.get(name, [])
    base = [each for each in SMALL if not (needs and each.startswith("model"))]
    experiment = dataclasses.replace(
        compose(*base, *needs, f"attack={name}", "prior=untrained", "scale=smoke", "knowledge.labels=true"),
        fl=Accumulating(batch_size=2),
    )
    one = Clients(experiment).client(0)
    observation = one.problem.observation
    assert float(squared_distance(trial_update(one.truth, observation, {}), observation.update)) < 1e-6
    (found,) = experiment.attack([one.problem])
    assert found.status not in ("failed", "diverged")
    assert len(found.y) == 4
    assert bool(torch.isfinite(found.x).all())


RULES = sorted({path.stem for path in (CONF / "labels").glob("*.yaml")} - {"chance"})
"""Chance draws anew for every update."""


@pytest.mark.parametrize("name", RULES)
def test_every_label_rule_reads_it_as_the_gradient_that_it_is(name: str) -> None:
    """Its mean gradient is that of the batch: the counts are those that a rule reads off one gradient.

    RLU and Dimitrov's also take the steps and the weights after them into account, and still err by one image at most.
    iDLG's reads one image alone.
    """
    held = 1 if name == "idlg" else 4
    rule = (f"labels@attack.labels={name}", "attack=labels", "knowledge.public=true")
    ours = Clients(given(held, *rule)).client(0).problem.observation
    plain = Clients(compose(*SMALL, *rule, f"fl.batch_size={held}")).client(0).problem.observation
    infer = given(held, *rule).attack.labels  # type: ignore[attr-defined]
    read, expected = infer.counts(ours), infer.counts(plain)
    assert int(read.sum()) == held
    if name in ("rlu", "dimitrov"):
        assert int((read - expected).abs().sum()) <= 2
    else:
        assert torch.equal(read, expected)
