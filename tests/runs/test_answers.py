"""What the store says to an experiment: more targets are added, fewer are cut, other metrics are scored anew."""

import dataclasses
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.config.composition import compose
from harness.config.experiment import Experiment
from harness.core import Attack, Record
from harness.metrics.mse import MSE
from harness.metrics.psnr import PSNR
from harness.metrics.representation import RepresentationMSE
from harness.metrics.scores import Scores
from harness.runs.answers import answer
from harness.runs.clients import Clients
from harness.runs.run import run
from harness.runs.targets import Targets
from harness.store.records import Store, summarise
from tests.damage import unseal

SMALL = ("logger=none", "model=mlp", "model.hidden=8")
LIGHT = (*SMALL, "attack=ig", "fl.batch_size=2", "attack.steps=2")
ROUNDS = (
    *(*SMALL, "attack=ig", "attack.steps=1", "labels@attack.labels=analytic"),
    *("fl=fedavg", "fl.clients=6", "fl.dummies=2", "fl.victims=2", "fl.attack_every=2", "fl.lr=0.05"),
)
PLAIN = Scores(metrics={"mse": MSE()})


def asked(folder: Path, trials: int, *overrides: str, light: tuple[str, ...] = LIGHT) -> Experiment:
    return compose(*light, f"trials={trials}", f"paths.runs={folder}", *overrides)


def timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.fixture
def attacked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The problems that an attack has carried out."""
    seen: list[int] = []
    checked = Attack._checked

    def note(self: Attack, *arguments: Any) -> Any:
        seen.append(len(seen))
        return checked(self, *arguments)

    monkeypatch.setattr(Attack, "_checked", note)
    return seen


@pytest.mark.parametrize("attack", ["ig", "dlg", "labels"])
def test_more_targets_are_added_to_those_that_are_there(
    attack: str, tmp_path: Path, attacked: list[int]
) -> None:
    """Four more are four more, and all have the numbers that they have in a run of eight."""
    choice = f"attack={attack}"
    few = run(asked(tmp_path / "one", 2, choice))
    assert len(attacked) == 2
    more = run(asked(tmp_path / "one", 4, choice))
    assert len(attacked) == 4
    whole = run(asked(tmp_path / "other", 4, choice))
    assert few.id == more.id
    assert timeless(more.rows) == timeless(whole.rows)
    assert timeless(few.rows) == timeless([row for row in whole.rows if row["problem"] < 2])
    one, other = (Store(tmp_path / name).images(more.id) for name in ("one", "other"))
    assert list(one) == list(other)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert more.config["trials"] == 4
    (earlier,) = more.provenance["earlier"]
    assert more.provenance["seconds"] > earlier["seconds"] > 0


def test_fewer_targets_are_the_first_ones(tmp_path: Path, attacked: list[int]) -> None:
    whole = run(asked(tmp_path, 4))
    stamp = (tmp_path / whole.id / "result.json").stat().st_mtime_ns
    few = run(asked(tmp_path, 2))
    assert len(attacked) == 4
    assert few.rows == [row for row in whole.rows if row["problem"] < 2]
    assert few.summary == summarise(few.rows)
    assert (tmp_path / whole.id / "result.json").stat().st_mtime_ns == stamp
    assert Store(tmp_path).load(whole.id) == whole


@pytest.mark.parametrize(
    "choice",
    [
        *(
            "attack=idlg attack.engine=native",
            "attack=idlg attack.engine=vmap",
            "attack=idlg attack.engine=loop",
        ),
        *(
            "attack=dlg attack.engine=lowrank",
            "attack=ig model=cnn",
            "attack=ig model=resnet18 model.width=4 model.blocks=1 attack.engine=lowrank",
            "attack=ig fl.batch_size=2 attack.restarts=2",
        ),
    ],
)
def test_a_problem_has_the_same_bits_however_many_there_are(choice: str, tmp_path: Path) -> None:
    """Also the only one of a run: what is chosen for speed must not depend on it."""
    light = ("logger=none", "attack.steps=3", "labels@attack.labels=llg_star", *choice.split())
    light = tuple(each for each in light if "attack=dlg" not in choice or "labels" not in each)
    alone = run(asked(tmp_path / "one", 1, light=light)).rows
    several = run(asked(tmp_path / "three", 3, light=light)).rows
    assert timeless(alone) == timeless(several[: len(alone)])


def test_rounds_go_on_until_there_are_as_many(tmp_path: Path, attacked: list[int]) -> None:
    few = run(asked(tmp_path / "one", 2, light=ROUNDS))
    more = run(asked(tmp_path / "one", 5, light=ROUNDS))
    assert len(attacked) == 5
    whole = run(asked(tmp_path / "other", 5, light=ROUNDS))
    assert few.id == more.id
    assert timeless(more.rows) == timeless(whole.rows)
    assert max(row["round"] for row in more.rows) > max(row["round"] for row in few.rows)


class Killed(BaseException):
    """What nothing catches."""


def steps(monkeypatch: pytest.MonkeyPatch, dies: int) -> list[str]:
    """Die at the so many'th change of a file."""
    done: list[str] = []
    move = Path.replace

    def note(name: str) -> None:
        if len(done) == dies:
            raise Killed
        done.append(name)

    def replaced(self: Path, target: Path) -> Path:
        note(Path(target).name)
        return move(self, target)

    monkeypatch.setattr(Path, "replace", replaced)
    return done


def killed_everywhere(
    before: Callable[[Path], Record], after: Callable[[Path], Record], root: Path
) -> Record:
    """Kill `after` at each of its changes in turn, then let it go on; it must find what it does undisturbed."""
    before(root / "whole")
    whole = after(root / "whole")
    for dies in range(100):
        folder = root / str(dies)
        before(folder)
        with pytest.MonkeyPatch.context() as patch:
            done = steps(patch, dies)
            with suppress(Killed):
                after(folder)
        found = after(folder)
        assert timeless(found.rows) == timeless(whole.rows), done[-1:]
        assert Store(folder).load(found.id) is not None
        assert not (folder / found.id / "parts").exists()
        if len(done) < dies:
            return whole
    raise AssertionError("it never comes to an end")


def test_a_kill_anywhere_while_a_run_is_extended_loses_nothing(tmp_path: Path) -> None:
    light = ("logger=none", "model=mlp", "model.hidden=4", "attack=ig", "attack.steps=1")

    def carry_out(trials: int) -> Callable[[Path], Record]:
        return lambda folder: run(dataclasses.replace(asked(folder, trials, light=light), metric=PLAIN))

    killed_everywhere(carry_out(1), carry_out(2), tmp_path)


def scored(folder: Path, metric: Scores, *overrides: str, trials: int = 2) -> Experiment:
    return dataclasses.replace(asked(folder, trials, *overrides), metric=metric)


BOTH = Scores(metrics={"mse": MSE(), "psnr_unit": PSNR(), "mse_r": RepresentationMSE()})
OTHERS = [
    Scores(metrics={"mse": MSE(convention="ggl")}),
    Scores(metrics={"mse": MSE()}, success_threshold=0.5),
    Scores(metrics={"psnr_unit": PSNR()}, success_metric="psnr_unit", success_threshold=3.0),
    BOTH,
]


@pytest.mark.parametrize("metric", OTHERS, ids=range(len(OTHERS)))
@pytest.mark.parametrize("attack", ["ig", "dlg"])
def test_other_metrics_are_scored_on_the_kept_images(
    metric: Scores, attack: str, tmp_path: Path, attacked: list[int]
) -> None:
    """And give the rows of a run that was scored so from the beginning, column by column."""
    choice = f"attack={attack}"
    first = run(scored(tmp_path / "one", PLAIN, choice))
    found = run(scored(tmp_path / "one", metric, choice))
    assert len(attacked) == 2
    fresh = run(scored(tmp_path / "other", metric, choice))
    assert first.id == found.id == fresh.id
    for row, expected in zip(timeless(found.rows), timeless(fresh.rows), strict=True):
        assert row == expected
    assert found.summary.keys() == fresh.summary.keys()
    back = run(scored(tmp_path / "one", PLAIN, choice))
    assert timeless(back.rows) == timeless(first.rows)


def test_what_needs_a_network_that_is_gone_is_computed_again(tmp_path: Path, attacked: list[int]) -> None:
    def rounds(metric: Scores) -> Experiment:
        return dataclasses.replace(asked(tmp_path, 2, light=ROUNDS), metric=metric)

    run(rounds(PLAIN))
    run(rounds(Scores(metrics={"mse": MSE(), "psnr_unit": PSNR()})))
    assert len(attacked) == 2
    found = run(rounds(BOTH))
    assert len(attacked) == 4
    assert all(row["mse_r"] is not None for row in found.rows)
    run(rounds(Scores(metrics={"mse": MSE(convention="ggl"), "mse_r": RepresentationMSE()})))
    assert len(attacked) == 4, "the network's metric is as it was"


def test_a_kill_anywhere_while_a_run_is_scored_anew_mixes_nothing(tmp_path: Path) -> None:
    def carry_out(metric: Scores) -> Callable[[Path], Record]:
        return lambda folder: run(scored(folder, metric, "attack=ig", trials=1))

    whole = killed_everywhere(carry_out(PLAIN), carry_out(BOTH), tmp_path)
    assert len({row["scored_by"] for row in whole.rows}) == 1


def test_rows_of_other_settings_are_no_answer(tmp_path: Path) -> None:
    experiment = scored(tmp_path, PLAIN)
    record = run(experiment)
    store = Store(tmp_path)
    assert answer(store, experiment) == record
    assert answer(store, dataclasses.replace(experiment, metric=BOTH)) is None
    assert answer(store, dataclasses.replace(experiment, trials=3)) is None
    journal = tmp_path / record.id / "rows.jsonl"
    rows = [json.loads(line) for line in journal.read_text().splitlines()]
    for row in rows:  # as before rows said it
        del row["scored_by"]
    journal.write_text("".join(json.dumps(row) + "\n" for row in rows))
    unseal(journal.parent)
    assert answer(store, experiment) is not None
    assert answer(store, dataclasses.replace(experiment, metric=BOTH)) is None


def test_the_report_chooses_what_is_shown(tmp_path: Path, attacked: list[int]) -> None:
    best = run(asked(tmp_path, 2, "attack=ig", "attack.optimizer.lr=3"))
    last = run(asked(tmp_path, 2, "attack=ig", "attack.optimizer.lr=3", "report=last"))
    assert len(attacked) == 2
    assert best.id == last.id
    for one, other in zip(best.rows, last.rows, strict=True):
        assert other["mse"] == one["mse_last"]
        assert other["loss"] == one["loss_last"] != one["loss"]
        assert not [name for name in other if name.endswith("_last")]
    assert last.summary == summarise(last.rows)
    images = Store(tmp_path).images(best.id)
    kept = images["reconstruction_last"] - images["truth"]
    assert [row["mse"] for row in last.rows] == pytest.approx(kept.square().flatten(1).mean(1).tolist())


def test_what_has_one_iterate_says_it_once(tmp_path: Path) -> None:
    rows = run(asked(tmp_path, 1, "attack=labels", "report=last")).rows
    assert rows == run(asked(tmp_path, 1, "attack=labels")).rows


def test_clients_know_their_network_and_rounds_do_not(tmp_path: Path) -> None:
    clients = Clients(asked(tmp_path, 1))
    assert clients.network(0) is not None
    assert Targets.network(clients, 0) is None
