"""Attacks on federated rounds, from the configuration to the store."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from harness.config.composition import compose
from harness.core import Record, UserError
from harness.runs.rounds import CHECKPOINT, Rounds
from harness.runs.run import run, run_together
from harness.runs.targets import length
from harness.store.journal import decode
from harness.store.records import Store

CELL = (
    *("logger=none", "scale=smoke", "model=mlp", "model.hidden=16", "attack=ig", "trials=5"),
    *("labels@attack.labels=analytic", "fl=fedavg", "fl.clients=6", "fl.dummies=2"),
    *("fl.victims=2", "fl.attack_every=2", "fl.lr=0.05"),
)
FREE = "scale.trials=null"


def carry_out(folder: Path, *overrides: str) -> Record:
    return run(compose(*CELL, FREE, f"paths.runs={folder}", *overrides))


def comparable(record: Record) -> list[dict[str, object]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in record.rows]


def test_rows_say_what_was_attacked_and_how_good_the_model_was(tmp_path: Path) -> None:
    record = carry_out(tmp_path)
    assert [row["round"] for row in record.rows] == [1, 1, 1, 1, 3, 3, 3, 3, 5, 5]
    assert {row["examples"] for row in record.rows} <= {43, 44}
    accuracy = [row["test_accuracy"] for row in record.rows]
    assert 0 <= accuracy[0] < accuracy[-1] <= 1
    assert "round" not in record.summary
    assert record.summary["test_accuracy"]["mean"] == pytest.approx(sum(accuracy) / 10)
    assert not (tmp_path / record.id / CHECKPOINT).exists()
    targets = Rounds(compose(*CELL, FREE))
    for row in record.rows:
        assert row["target"] in targets.population.indices(row["client"])


def test_the_clients_hold_nothing_that_is_public_or_attacked_elsewhere() -> None:
    targets = Rounds(compose(*CELL))
    held = {row for client in range(6) for row in targets.population.indices(client)}
    for split in ("public", "attack"):
        assert not held & set(targets.experiment.dataset.load(split, None).indices)  # type: ignore[arg-type]


def test_a_control_is_handed_another_clients_update_of_the_round() -> None:
    own, other = (Rounds(compose(*CELL, FREE, f"control={control}")) for control in ("none", "other"))
    assert own.victims == other.victims
    for position, (number, client) in enumerate(own.victims[:2]):
        handed, seen = other[position], own[position]
        assert torch.equal(handed.truth.x, seen.truth.x), "it is scored by the victim's images"
        assert handed.indices == seen.indices
        sender = other.senders[position]
        assert sender != client
        sent = other.simulation.report(number, sender)
        for name, value in handed.problem.observation.update.items():
            assert torch.equal(value, sent.defended[name])
        assert handed.problem.observation.examples == len(sent.truth)
        assert handed.circumstances["sender"] == sender


def test_a_control_searches_for_no_more_images_than_either_client_holds() -> None:
    uneven = (
        "partition@fl.partition=dirichlet",
        "fl.dummies=60",
        "fl.victims=6",
        "trials=6",
        "control=other",
    )
    targets = Rounds(compose(*CELL, FREE, *uneven))
    held = [
        tuple(map(targets.population.examples, (client, targets.senders[position])))
        for position, (_, client) in enumerate(targets.victims)
    ]
    assert any(sender < min(client, 60) for client, sender in held)
    assert any(client < min(sender, 60) for client, sender in held)
    assert [targets.dummies(position) for position in range(6)] == [min(60, *both) for both in held]


def test_a_controlled_simulation_goes_on_with_the_same_senders(tmp_path: Path) -> None:
    whole = carry_out(tmp_path / "whole", "control=other", "fl.keep_momentum=true", "fl.momentum=0.9")
    first = carry_out(
        tmp_path / "parts", "control=other", "fl.keep_momentum=true", "fl.momentum=0.9", "trials=2"
    )
    parts = carry_out(tmp_path / "parts", "control=other", "fl.keep_momentum=true", "fl.momentum=0.9")
    assert first.id == parts.id == whole.id
    assert comparable(parts) == comparable(whole)
    assert len({row["sender"] for row in whole.rows}) > 1


def test_a_control_is_handed_what_no_client_has_sent() -> None:
    own, negative, noise = (
        Rounds(compose(*CELL, FREE, f"control={control}"))[0].problem.observation.update
        for control in ("none", "negative", "noise")
    )
    assert all(torch.equal(negative[name], -value) for name, value in own.items())
    assert length(noise) == pytest.approx(length(own), rel=1e-5)
    assert not any(torch.equal(noise[name], value) for name, value in own.items())


def test_the_attacker_sees_the_round_as_it_was() -> None:
    targets = Rounds(compose(*CELL, FREE, "fl.lr_decay=0.5", "fl.dummies=null", "fl.scaling=per_lr"))
    targets.simulation.simulate(2, [], Path("none.ckpt"), torch.device("cpu"))
    client = targets[2]  # of round 3
    seen = client.problem.observation
    assert seen.protocol.lr == pytest.approx(0.05 / 4)  # type: ignore[attr-defined]
    assert (seen.n, seen.examples) == (len(client.truth), len(client.truth))
    assert set(seen.update) == set(seen.params)
    assert all(torch.equal(seen.params[name], value) for name, value in targets.simulation.weights.items())
    order = targets.simulation.report(*targets.victims[2]).order
    again = seen.protocol.update(seen.model, seen.params, client.truth, order)
    for name, value in again.items():
        torch.testing.assert_close(seen.update[name], value, rtol=1e-3, atol=1e-5)


def test_seeds_run_one_after_the_other_find_what_they_find_alone(tmp_path: Path) -> None:
    pair = [compose(*CELL, f"seed={seed}", f"paths.runs={tmp_path / 'one'}") for seed in (0, 1)]
    together = run_together(pair)
    alone = run(compose(*CELL, "seed=1", f"paths.runs={tmp_path / 'other'}"))
    assert comparable(together[1]) == comparable(alone)
    assert comparable(together[0]) != comparable(alone)


@pytest.mark.parametrize("labels", ["false", "true"])
def test_updates_that_explode_are_labelled_failures(tmp_path: Path, labels: str) -> None:
    known = (f"knowledge.labels={labels}", *(["fl.dummies=null"] if labels == "true" else []))
    record = carry_out(tmp_path, "fl.lr=1e30", *known, "trials=3")
    assert {row["status"] for row in record.rows} == {"failed"}
    assert all(row["mse"] is None for row in record.rows)


KILLED = """
import os, signal, sys
from harness.config.composition import compose
from harness.runs import rounds
from harness.simulation.checkpoint import SimulationCheckpoint
from harness.store.recording import Run
from harness.runs.run import run

rounds.SimulationCheckpoint = lambda path: SimulationCheckpoint(path, 0)
append = Run.append

def kill(self, problem, *rest):
    if problem == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    append(self, problem, *rest)

Run.append = kill
run(compose(*sys.argv[1:]))
"""


def test_a_killed_run_goes_on_at_the_next_victim(tmp_path: Path) -> None:
    overrides = [*CELL, FREE, f"paths.runs={tmp_path}"]
    subprocess.run([sys.executable, "-c", KILLED, *overrides], check=False, stderr=subprocess.DEVNULL)
    experiment = compose(*overrides)
    directory = tmp_path / experiment.id
    assert (directory / CHECKPOINT).exists()
    assert Store(tmp_path).load(experiment.id) is None
    before, broken = decode((directory / "rows.jsonl").read_bytes())
    assert (len(before), broken) == (6, 0)
    found = run(experiment)
    assert found.rows[:6] == before
    assert comparable(found) == comparable(carry_out(tmp_path / "whole"))


def test_a_client_is_searched_for_no_more_images_than_it_holds(tmp_path: Path) -> None:
    """In a non-IID federation clients hold more than the attack looks for, and fewer; each image is matched once."""
    skewed = ("fl.clients=16", "partition@fl.partition=dirichlet", "fl.dummies=15", "fl.victims=16")
    given = (*CELL, FREE, *skewed, "trials=16", f"paths.runs={tmp_path}")
    targets = Rounds(compose(*given))
    held = [targets.population.examples(client) for _, client in targets.victims]
    assert min(held) < 15 < max(held)
    assert [targets.dummies(position) for position in range(16)] == [min(15, each) for each in held]
    record = run(compose(*given))
    for problem, count in enumerate(held):
        rows = [row for row in record.rows if row["problem"] == problem]
        assert {row["examples"] for row in rows} == {count}
        assert len({row["target"] for row in rows}) == len(rows) == min(15, count)


def test_what_has_no_effect_is_refused() -> None:
    with pytest.raises(UserError, match=r"fl\.dummies=8: the client holds 4 images"):
        compose("fl=fedavg", "fl.examples_per_client=4", "fl.dummies=8")
    with pytest.raises(UserError, match=r"fl\.keep_momentum: there is none to keep"):
        compose("fl=fedavg", "fl.clients=4", "fl.keep_momentum=true")
    with pytest.raises(UserError, match=r"fl\.dropout: there are no rounds"):
        compose("fl=fedavg", "fl.dropout=0.5")
    with pytest.raises(UserError, match=r"targets: in federated rounds"):
        compose(*CELL, "targets=[1]")
    with pytest.raises(UserError, match=r"fl\.dummies=8"):
        compose(*CELL, "start=uniform", "fl.dummies=null")
    with pytest.raises(UserError, match="participation"):
        compose(*CELL, "fl.participation=1.5")
    for known in ("labels", "order"):
        with pytest.raises(UserError, match=rf"knowledge\.{known}: .* fl\.dummies=null"):
            compose(*CELL, f"knowledge.{known}=true")
    compose("fl=fedavg", "fl.examples_per_client=4", "fl.dummies=4", "knowledge.labels=true")


def test_without_an_attack_rows_say_how_well_the_network_learns(tmp_path: Path) -> None:
    cell = ("model=mlp", "model.hidden=16", "fl=fedavg", "fl.clients=3", "fl.lr=0.05", "fl.batch_size=10")
    given = (*cell, "attack=none", "logger=none", "model.fresh=false", f"paths.runs={tmp_path}")
    whole = run(compose(*given, "trials=5"))
    assert [row["round"] for row in whole.rows] == [0, 1, 2, 3, 4]
    assert whole.rows[4]["test_loss"] < whole.rows[0]["test_loss"]
    assert {row["target"] for row in whole.rows} == {0}, "rounds of one training are no repetitions"
    sparse = run(compose(*given, "trials=3", "fl.attack_every=2"))
    assert [row["round"] for row in sparse.rows] == [0, 2, 4]
    kept = ("round", "test_accuracy", "test_loss")
    assert [[row[name] for name in kept] for row in sparse.rows] == [
        [row[name] for name in kept] for row in whole.rows[::2]
    ]
    targets = Rounds(compose(*given))
    targets.tested = targets.simulation.evaluate()
    assert targets.client(0).circumstances["test_loss"] == pytest.approx(whole.rows[0]["test_loss"])


@pytest.mark.parametrize("logger", ["csv", "tensorboard", "wandb"])
def test_every_logger_takes_rounds_without_pictures(
    logger: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cell = ("model=mlp", "model.hidden=4", "fl=fedavg", "fl.clients=3", "attack=none", "model.fresh=false")
    record = run(compose(*cell, f"logger={logger}", f"paths.runs={tmp_path}", "trials=2"))
    assert len(record.rows) == 2
    assert not [*tmp_path.rglob("gallery.png")]


def test_without_an_attack_and_without_rounds_there_is_nothing_to_tell() -> None:
    with pytest.raises(UserError, match=r"say fl=fedavg fl\.clients=10"):
        compose("attack=none")
