"""Federated rounds: averaging, failures, and going on after a kill to the very same weights."""

import copy
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from harness.core import Batch, Images, Params, UserError, generator
from harness.datasets.digits import Digits32
from harness.datasets.splits import Pool, Subset
from harness.defenses.clipping import Clipping
from harness.defenses.none import NoDefense
from harness.federated.fedavg import FedAvg
from harness.federated.partitions.by_class import ByClass
from harness.models.mlp import MLP
from harness.models.resnet import ResNet
from harness.simulation.checkpoint import SimulationCheckpoint, finished_rounds
from harness.simulation.population import Population
from harness.simulation.schedule import Schedule
from harness.simulation.simulation import Simulation
from tests.federated.test_protocols import params_of, torch_sgd

CPU = torch.device("cpu")


def images(count: int = 60, classes: int = 10) -> Images:
    rng = generator("images")
    labels = torch.arange(count) % classes
    return Subset(Pool(torch.rand(count, 1, 32, 32, generator=rng), labels), list(range(count)))


def simulation(
    model: Any = None, defense: Any = None, held: Images | None = None, **settings: Any
) -> Simulation:
    protocol = FedAvg(**{"clients": 4, "batch_size": 5} | settings)
    assert protocol.clients is not None
    population = Population(images() if held is None else held, protocol.partition, protocol.clients, 0)
    network = (model or MLP(hidden=4)).build(Digits32(), 0)
    return Simulation(
        network, population, Schedule(protocol, population.holders, 0), defense or NoDefense(), 0
    )


def rounds(one: Simulation, last: int, folder: Path) -> Params:
    """The weights after some rounds."""
    one.simulate(last, [], folder / "none.ckpt", CPU)
    return {name: value.clone() for name, value in (one.weights | one.buffers_of_model).items()}


def equal(one: Params, other: Params) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_every_client_keeps_a_fifth_for_testing() -> None:
    population = simulation().population
    assert [len(rows) for rows in population.train] == [12] * 4
    assert [len(rows) for rows in population.test] == [3] * 4
    rows: list[Tensor] = [*population.train, *population.test]
    assert sorted(torch.cat(rows).tolist()) == list(range(60))
    assert sum(len(batch) for batch in population.held_out(CPU, None)) == 12
    assert sum(len(batch) for batch in population.held_out(CPU, 5)) == 5


def test_equal_clients_with_one_full_step_are_centralised_sgd(tmp_path: Path) -> None:
    one = simulation(batch_size=12, lr=0.5)
    before = params_of(one.model)
    everything = one.population.batch(torch.cat(one.population.train), CPU)
    moved = torch_sgd(one.model, everything, [torch.arange(48)], 0.5)
    after = rounds(one, 1, tmp_path)
    for name, value in moved.items():
        torch.testing.assert_close(before[name] - after[name], value, rtol=0, atol=1e-6)


def test_the_average_is_weighted_by_examples_whatever_the_scaling(tmp_path: Path) -> None:
    """And it is the mean itself, not an exponential one that depends on the order of the clients."""
    for scaling in ("raw", "per_step", "per_lr"):
        one = simulation(clients=3, held=images(31), scaling=scaling, lr=0.3)
        reports = [one.report(1, client) for client in range(3)]
        weights = [len(report.truth) / 25 for report in reports]
        assert len(set(weights)) == 2
        before = params_of(one.model)
        after = rounds(one, 1, tmp_path)
        for name, value in before.items():
            mean = sum(w * r.undefended[name] * r.divisor for w, r in zip(weights, reports, strict=True))
            torch.testing.assert_close(value - after[name], mean, rtol=1e-4, atol=1e-6)


def test_statistics_of_batch_normalisation_are_averaged_and_never_sent(tmp_path: Path) -> None:
    one = simulation(ResNet(width=2, blocks=1), clients=2, normalization="train")
    reports = [one.report(1, client) for client in range(2)]
    before = {name: value.clone() for name, value in one.buffers_of_model.items()}
    after = rounds(one, 1, tmp_path)
    assert set(reports[0].defended) == {name for name, _ in one.model.named_parameters()}
    moved = [name for name in before if name.endswith("running_mean")]
    for name in moved:
        mean = (reports[0].drift[name] + reports[1].drift[name]) / 2
        torch.testing.assert_close(after[name], before[name] + mean)
        assert not torch.equal(after[name], before[name])
    assert torch.equal(after["normalize.mean"], before["normalize.mean"])
    assert not one.model.training


def test_in_eval_mode_the_statistics_stay_as_they_are(tmp_path: Path) -> None:
    one = simulation(ResNet(width=2, blocks=1), clients=2)
    before = {name: value.clone() for name, value in one.buffers_of_model.items()}
    assert equal(before, rounds(one, 1, tmp_path))


def test_what_the_server_averages_has_been_defended(tmp_path: Path) -> None:
    one = simulation(clients=1, defense=Clipping(bound=1e-3))
    before = params_of(one.model)
    after = rounds(one, 1, tmp_path)
    moved = torch.stack([(before[name] - after[name]).norm() for name in before]).norm()
    assert float(moved) == pytest.approx(1e-3, rel=1e-2)


def test_the_learning_rate_decays_from_round_to_round() -> None:
    schedule = simulation(lr=0.4, lr_decay=0.5).schedule
    assert [schedule.in_force(number, 3).lr for number in (1, 2, 3)] == [0.4, 0.2, 0.1]


def test_a_part_of_the_clients_is_asked_and_a_part_of_those_answers() -> None:
    schedule = simulation(clients=30, participation=0.5, dropout=0.5).schedule
    cohorts = [schedule.cohort(number) for number in range(1, 41)]
    assert {len(cohort) for cohort in cohorts} == {15}
    assert len({tuple(cohort) for cohort in cohorts}) > 30
    answers = [schedule.answering(number) for number in range(1, 41)]
    assert all(set(some) < set(cohort) for some, cohort in zip(answers, cohorts, strict=True))
    assert 0.4 < sum(map(len, answers)) / 600 < 0.6
    assert [len(simulation(participation=0.0).schedule.cohort(number)) for number in (1, 2)] == [1, 1]


def test_a_round_that_nobody_answers_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    one = simulation(clients=1, dropout=0.9)
    answered = [bool(one.schedule.answering(number)) for number in range(1, 4)]
    assert answered == [False] * 3
    before = {name: value.clone() for name, value in one.weights.items()}
    assert equal(before, rounds(one, 3, tmp_path))
    assert int(one.finished) == 3


def test_a_client_whose_update_explodes_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = simulation(clients=2), simulation(clients=2)
    batch = one.population.batch

    def poisoned(rows: Tensor, device: torch.device) -> Batch:
        found = batch(rows, device)
        return Batch(found.x * float("nan"), found.y) if rows is one.population.train[1] else found

    monkeypatch.setattr(one.population, "batch", poisoned)
    report = other.report(1, 0)
    expected = {name: value - report.undefended[name] for name, value in other.weights.items()}
    found = rounds(one, 1, tmp_path)
    assert "client 1 sent numbers that are not finite" in capsys.readouterr().err
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


def test_clients_without_data_take_no_part(tmp_path: Path) -> None:
    held = images(40, classes=4)
    one = simulation(held=held, clients=8, partition=ByClass())
    assert one.population.holders == [0, 1, 2, 3, 4, 5, 6, 7]
    gap = Subset(Pool(torch.rand(20, 1, 32, 32), torch.tensor([0, 2] * 10)), list(range(20)))
    two = simulation(held=gap, clients=3, partition=ByClass())
    assert two.population.holders == [0, 2]
    assert two.schedule.cohort(1) == [0, 2]
    assert all(bool(torch.isfinite(value).all()) for value in rounds(two, 1, tmp_path).values())
    with pytest.raises(UserError, match="train split is empty"):
        simulation(held=Subset(Pool(torch.rand(1, 1, 32, 32), torch.tensor([0])), []))


def test_victims_are_drawn_from_those_who_answer() -> None:
    schedule = simulation(clients=30, participation=0.2, victims=2, attack_every=3, first_attack=2).schedule
    victims = schedule.victims(7)
    assert [number for number, _ in victims] == [2, 2, 5, 5, 8, 8, 11]
    assert all(client in schedule.answering(number) for number, client in victims)
    assert simulation(victims=[3, 1]).schedule.victims(3) == [(1, 3), (1, 1), (2, 3)]
    with pytest.raises(UserError, match="no client 4 that holds data"):
        simulation(victims=[4]).schedule.victims(1)
    with pytest.raises(UserError, match="none of the victims answers"):
        simulation(clients=1, dropout=0.9999999).schedule.victims(1)


@pytest.mark.parametrize("kept", [False, True])
def test_a_simulation_goes_on_from_its_checkpoint_to_the_same_weights(kept: bool, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"participation": 0.5, "dropout": 0.2, "momentum": 0.5, "lr_decay": 0.9}
    settings |= {"normalization": "train", "keep_momentum": kept}
    whole = rounds(simulation(ResNet(width=2, blocks=1), **settings), 4, tmp_path)
    checkpoint = tmp_path / "some.ckpt"
    simulation(ResNet(width=2, blocks=1), **settings).simulate(
        2, [SimulationCheckpoint(checkpoint, 0)], checkpoint, CPU
    )
    assert finished_rounds(checkpoint) == 2
    rest = simulation(ResNet(width=2, blocks=1), **settings)
    rest.simulate(4, [], checkpoint, CPU)
    assert equal(whole, rest.weights | rest.buffers_of_model)


def test_a_client_goes_on_with_its_momentum_where_it_is_kept(tmp_path: Path) -> None:
    """As one optimiser of torch's for each client, which lasts for the whole training (the code of Zhu et al. 2024)."""
    one = simulation(clients=2, momentum=0.9, lr=0.1, lr_decay=0.5, weight_decay=0.01, keep_momentum=True)
    networks = [copy.deepcopy(one.model).requires_grad_(True) for _ in range(2)]
    descents = [torch.optim.SGD(n.parameters(), 0.1, momentum=0.9, weight_decay=0.01) for n in networks]
    weights = params_of(one.model)
    for number in (1, 2, 3):
        for client, (network, descent) in enumerate(zip(networks, descents, strict=True)):
            network.load_state_dict(weights, strict=False)
            descent.param_groups[0]["lr"] = 0.1 * 0.5 ** (number - 1)
            held = one.population.batch(one.population.train[client], CPU)
            for step in one.schedule.in_force(number, len(held)).order(
                generator("client", 0, number, client)
            ):
                descent.zero_grad()
                F.cross_entropy(network(held.x[step]), held.y[step]).backward()
                descent.step()
        mean = [params_of(network) for network in networks]
        weights = {name: (value + mean[1][name]) / 2 for name, value in mean[0].items()}
    found = rounds(one, 3, tmp_path)
    reset = rounds(simulation(clients=2, momentum=0.9, lr_decay=0.5, weight_decay=0.01), 3, tmp_path)
    for name, value in weights.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5)
    assert any(not torch.allclose(found[name], reset[name], atol=1e-3) for name in weights)


def test_a_client_says_the_same_in_an_attack_and_in_its_round(tmp_path: Path) -> None:
    """Momentum that is kept belongs to the round: asking a client twice alters nothing."""
    one = simulation(momentum=0.9, keep_momentum=True)
    rounds(one, 1, tmp_path)
    first, second = one.report(2, 0), one.report(2, 0)
    assert equal(first.undefended, second.undefended)
    assert not equal(first.undefended, simulation(momentum=0.9).report(2, 0).undefended)


@pytest.mark.parametrize("damage", ["nonsense", "empty", "torn", "altered", "another's", "list", "no keys"])
def test_a_damaged_checkpoint_is_refused_in_one_line(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "some.ckpt"
    simulation().simulate(1, [SimulationCheckpoint(path, 0)], path, CPU)
    whole, content = path.read_bytes(), torch.load(path, weights_only=True)
    weight = content["state_dict"]["model.network.1.weight"].numpy().tobytes()
    altered = whole.replace(weight, bytes(len(weight)))
    assert altered != whole
    kept = {name: value for name, value in content.items() if name != "pytorch-lightning_version"}
    written = {"nonsense": b"nonsense", "empty": b"", "torn": whole[: len(whole) // 2], "altered": altered}
    saved = {"another's": content | {"state_dict": {}}, "list": [1], "no keys": kept}
    if damage in written:
        path.write_bytes(written[damage])
    else:
        torch.save(saved[damage], path)
    with pytest.raises(
        UserError,
        match=r"^\S+some.ckpt is (damaged|of no simulation): delete it to simulate from the first round$",
    ):
        simulation().simulate(2, [], path, CPU)


KILLED = """
import os, signal, sys, torch
from pathlib import Path
import pytorch_lightning
from tests.simulation.test_simulation import CPU, SimulationCheckpoint, simulation
import pytorch_lightning as pl

class Kill(pl.Callback):
    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if batch == 3:
            os.kill(os.getpid(), signal.SIGKILL)

path = Path(sys.argv[1])
simulation(lr=0.5).simulate(5, [SimulationCheckpoint(path, 0), Kill()], path, CPU)
"""


def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    checkpoint = tmp_path / "some.ckpt"
    script = "from harness.machine import vision\n" + KILLED
    killed = subprocess.run([sys.executable, "-c", script, str(checkpoint)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert finished_rounds(checkpoint) == 2
    rest = simulation(lr=0.5)
    rest.simulate(5, [], checkpoint, CPU)
    assert equal(rest.weights, rounds(simulation(lr=0.5), 5, tmp_path))
