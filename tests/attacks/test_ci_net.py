"""CI-Net: what its switches do, and that its searches find something, side by side too."""

from dataclasses import replace

import pytest
import torch

from harness.attacks.ci_net import CINet
from harness.attacks.solvers.adam import Adam
from harness.core import Batch, Knowledge, Observation, Problem, UserError
from harness.labels.analytic import Analytic
from tests.conftest import Observe

SMALL = CINet(optimizer=Adam(lr=1e-2, signed=True), labels=Analytic(), channels=8, latent=4, steps=25)


@pytest.fixture
def seen(observe: Observe, batch: Batch) -> Observation:
    one = Batch(batch.x[:1].float(), batch.y[:1])
    return observe(one, knowledge=Knowledge(labels=one.y))


def test_a_search_comes_closer(seen: Observation) -> None:
    (found,) = SMALL([Problem(0, seen, seed=1)])
    assert found.loss < 0.3 * found.trace[0]["loss"]
    assert found.x.min() >= 0


@pytest.mark.parametrize(
    "change",
    [{}, {"spectral": False, "interpolation": "bilinear"}, {"mode": "eval", "output": "sigmoid"}],
    ids=str,
)
def test_problems_side_by_side_are_those_alone(change: dict[str, object], seen: Observation) -> None:
    problems = [Problem(number, seen, seed=number) for number in range(3)]
    attack = replace(SMALL, steps=3, **change)  # type: ignore[arg-type]
    together = {r.problem: r for r in replace(attack, engine="vmap", slots=3)(problems)}
    alone = {r.problem: r for r in replace(attack, engine="loop")(problems)}
    for number, found in alone.items():
        torch.testing.assert_close(together[number].loss, found.loss, rtol=1e-6, atol=1e-9)


def test_the_range_is_that_of_the_output(seen: Observation) -> None:
    weights = {name: 50 * value.double() for name, value in SMALL.initial(seen, torch.Generator()).items()}
    known = SMALL.prepare(seen)
    for attack in (SMALL, replace(SMALL, output="sigmoid")):
        made = attack.generate(weights, seen, known)  # normalised by .5: both have the range [-1, 1] here
        assert float(made.abs().max()) == pytest.approx(1, abs=1e-3)


def test_every_attempt_draws_weights_of_its_own(seen: Observation) -> None:
    first, again, other = (SMALL.initial(seen, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["1.weight"], other["1.weight"])


def test_sides_that_can_not_be_halved_are_refused(seen: Observation) -> None:
    with pytest.raises(UserError, match="even sides"):
        SMALL.initial(replace(seen, shape=(1, 9, 9)), torch.Generator())
