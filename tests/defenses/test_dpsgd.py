"""DP-SGD: in a single gradient, in local steps and in rounds."""

from pathlib import Path

import pytest
import torch

from harness.config.composition import compose
from harness.core import Batch, Observation, Params, UserError, generator
from harness.core.gradient import gradient
from harness.defenses.clipping import Clipping
from harness.defenses.composed import Composed
from harness.defenses.dpsgd import DPSGD
from harness.federated.fedavg import FedAvg
from harness.runs.clients import Clients
from tests.conftest import Observe
from tests.defenses.test_defenses import norm
from tests.simulation.test_simulation import equal, rounds, simulation

LOOSE = 1e9
SMALL = ("attack=ig", "dataset=digits32", "model=mlp", "model.hidden=8", "trials=1", "logger=none")


def sent(defense: DPSGD, seen: Observation, batch: Batch) -> Params:
    return defense.on_gradient(gradient, generator("noise"))(seen.model, seen.params, batch)


def test_a_bound_that_binds_nothing_leaves_the_gradient(observe: Observe, batch: Batch) -> None:
    seen = observe(batch)
    for name, value in sent(DPSGD(bound=LOOSE, noise=0), seen, batch).items():
        torch.testing.assert_close(value, seen.update[name])


def test_no_image_moves_the_sum_by_more_than_the_bound(observe: Observe, batch: Batch) -> None:
    seen, defense = observe(batch), DPSGD(bound=0.01, noise=0)
    every, count = sent(defense, seen, batch), len(batch)
    for left_out in range(count):
        kept = [place for place in range(count) if place != left_out]
        others = sent(defense, seen, Batch(batch.x[kept], batch.y[kept]))
        moved = {name: count * g - (count - 1) * others[name] for name, g in every.items()}
        assert norm(moved) == pytest.approx(0.01, rel=1e-5)


@pytest.mark.parametrize("chunk", [1, 3])
def test_the_chunk_is_memory_only(chunk: int, observe: Observe, batch: Batch) -> None:
    seen = observe(batch)
    one, other = (sent(DPSGD(bound=0.01, noise=1, chunk=c), seen, batch) for c in (chunk, 32))
    for name, value in one.items():
        torch.testing.assert_close(value, other[name])


def test_every_step_draws_noise_of_its_own(observe: Observe, batch: Batch) -> None:
    seen = observe(batch)
    step = DPSGD(bound=1e-3, noise=1e3).on_gradient(gradient, generator("noise"))
    found = [torch.cat([g.flatten() for g in step(seen.model, seen.params, batch).values()]) for _ in "ab"]
    assert float(found[0].std()) == pytest.approx(1 / len(batch), rel=0.1)
    assert abs(float(torch.corrcoef(torch.stack(found))[0, 1])) < 0.2


def test_local_steps_are_private_and_the_undefended_update_is_known() -> None:
    """FedAvg with a loose bound and no noise is FedAvg; with a tight one no step is longer than lr times the bound."""
    protocol = ("fl=fedavg", "fl.examples_per_client=6", "fl.batch_size=2", "fl.local_epochs=2", "fl.lr=0.1")
    plain = Clients(compose(*SMALL, *protocol)).client(0)
    loose = ("defense=dpsgd", f"defense.bound={LOOSE:.0f}", "defense.noise=0")
    same = Clients(compose(*SMALL, *protocol, *loose)).client(0)
    for name, value in plain.problem.observation.update.items():
        torch.testing.assert_close(same.problem.observation.update[name], value, rtol=1e-4, atol=1e-7)
    tight = Clients(compose(*SMALL, *protocol, "defense=dpsgd", "defense.bound=0.001", "defense.noise=0"))
    found = tight.client(0)
    assert norm(found.problem.observation.update) <= 6 * 0.1 * 0.001 * 1.0001
    assert found.norm == pytest.approx(plain.norm)


def test_clients_of_rounds_train_privately_and_the_same_again(tmp_path: Path) -> None:
    tight = DPSGD(bound=1e-3, noise=0)
    one, plain = simulation(defense=tight, lr=0.5), simulation(lr=0.5)
    report, ordinary = one.report(1, 0), plain.report(1, 0)
    steps = len(report.order)
    assert norm(report.defended) <= steps * 0.5 * 1e-3 * 1.0001 < norm(report.undefended)
    assert equal(report.undefended, ordinary.undefended)
    noisy = [rounds(simulation(defense=DPSGD(bound=1e-3, noise=1)), 2, tmp_path) for _ in "ab"]
    assert equal(*noisy)


def test_it_goes_with_others(observe: Observe, batch: Batch) -> None:
    seen = observe(batch)
    both = Composed(defenses=[Clipping(), DPSGD(bound=0.01, noise=0)])
    step = both.on_gradient(gradient, generator("noise"))
    assert equal(step(seen.model, seen.params, batch), sent(DPSGD(bound=0.01, noise=0), seen, batch))
    assert len(both.adaptations()) == 2
    assert Composed(defenses=[Clipping()]).on_gradient(gradient, generator("noise")) is gradient


def test_batch_statistics_and_lasting_momentum_are_refused() -> None:
    fedavg = ("defense=dpsgd", "fl=fedavg", "fl.clients=2")
    with pytest.raises(UserError, match=r"say fl\.normalization=eval"):
        compose(*SMALL, *fedavg, "fl.normalization=train")
    with pytest.raises(UserError, match=r"say fl\.keep_momentum=false"):
        compose(*SMALL, *fedavg, "fl.momentum=0.5", "fl.keep_momentum=true")


def test_it_learns_little_by_little(tmp_path: Path) -> None:
    """The averaged model of private clients is the mean of what they have sent."""
    one = simulation(clients=2, defense=DPSGD(bound=0.1, noise=1))
    assert isinstance(one.schedule.protocol, FedAvg)
    before = one.weights
    before = {name: value.clone() for name, value in before.items()}
    reports = [one.report(1, client).defended for client in range(2)]
    after = rounds(one, 1, tmp_path)
    for name, value in before.items():
        mean = (reports[0][name] + reports[1][name]) / 2
        torch.testing.assert_close(value - after[name], mean, rtol=1e-4, atol=1e-6)
