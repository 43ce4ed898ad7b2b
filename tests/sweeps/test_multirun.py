"""Sweeps and multiruns from the command line, with real but tiny runs."""

import json
import shutil
from pathlib import Path

import pandas
import pytest
from torch import nn

from harness.core import Shape, UserError
from harness.loggers.logger import NoLogger, RunInfo, Session
from harness.models.mlp import MLP
from tests.command import Main, stamps, write_plan
from tests.command import main as main
from tests.commands.test_main import harness

QUICK = [
    *("trials=1", "logger=none", "scale=smoke", "dataset=digits32", "model=mlp", "attack.steps=1"),
    "metric.metrics={mse:{_target_:harness.metrics.mse.MSE}}",
]
TOY = {
    "name": "toy",
    "title": "A toy sweep",
    "base": [override for override in QUICK if not override.startswith(("scale", "dataset"))],
    "grid": {"attack": ["dlg", "ig"], "attack.steps": [1, 2], "seed": [0, 1]},
    "metrics": ["mse", "success"],
    "notes": {"smoke": "It means nothing."},
    "plots": [
        {"_target_": "harness.plots.lines.Lines", "name": "steps", "title": "MSE over steps", "x": "attack.steps",
         "y": ["mse"], "by": ["attack"]},
        {"_target_": "harness.plots.lines.Lines", "name": "absent", "x": "attack.steps", "y": ["nothing"]},
    ],
}  # fmt: skip


def write(folder: Path, **changes: object) -> None:
    write_plan(folder, "sweep", {**TOY, **changes})


@pytest.fixture(autouse=True)
def toy(tmp_path: Path) -> None:
    write(tmp_path / "own")


def test_a_sweep_is_made_once_and_shown(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("sweep=toy", "scale=smoke") == 0
    first, progress = capsys.readouterr()
    assert first.splitlines()[-1] == "results/toy/digits32-smoke/"
    assert "[8/8]  toy  attack=ig, attack.steps=1, seed=1" in progress
    done = stamps(tmp_path)
    assert len(done) == 8
    folder = tmp_path / "results" / "toy" / "digits32-smoke"
    assert {path.name for path in folder.iterdir()} == {
        *("cells.csv", "sweep.md", "provenance.json", "steps.png", "steps.csv")
    }
    cells = pandas.read_csv(folder / "cells.csv")
    assert len(cells) == 2 * 2 * 2
    assert set(cells["n"]) == {2}, "seeds are repetitions"
    assert {identity for line in cells["run_ids"] for identity in line.split()} == set(done)
    text = (folder / "sweep.md").read_text()
    for words in ("# A toy sweep", "![MSE over steps](steps.png)", "It means nothing.", "8 of 8 runs"):
        assert words in text
    assert "absent is not drawn: nothing: there is no such column" in first
    origin = json.loads((folder / "provenance.json").read_text())
    assert origin["cells"][0]["values"] == {"attack": "dlg", "attack.steps": 1, "seed": 0}
    assert main("sweep=toy", "scale=smoke") == 0
    out, err = capsys.readouterr()
    assert out == first
    assert "here is the score" in err
    assert stamps(tmp_path) == done


def test_the_command_line_narrows_a_sweep(main: Main, tmp_path: Path) -> None:
    assert main("sweep=toy", "scale=smoke", "attack=ig", "seed=5,6", "attack.steps=2") == 0
    origin = json.loads((tmp_path / "results/toy/digits32-smoke/provenance.json").read_text())
    assert [cell["values"] for cell in origin["cells"]] == [
        {"attack": "ig", "attack.steps": 2, "seed": seed} for seed in (5, 6)
    ]


def test_a_multirun_fills_the_sweep(main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("-m", *QUICK, "attack=dlg,ig", "seed=0,1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(set(lines)) == 4
    assert all((tmp_path / line / "result.json").exists() for line in lines)
    done = stamps(tmp_path)
    assert main("sweep=toy", "scale=smoke", "attack.steps=1") == 0
    assert stamps(tmp_path) == done, "every run is in the store already"


def test_a_multirun_ends_with_a_table(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, below the bars: stdout has the directories of the runs and nothing else."""
    assert main("-m", *QUICK, "attack=dlg,ig", "seed=0,1") == 0
    table = capsys.readouterr().err.split("\n\n")[-2:]
    heading, *lines = table[0].splitlines()
    assert heading.split()[:3] == ["attack", "n", "PSNR,"]
    assert [line.split()[:2] for line in lines] == [["dlg", "2"], ["ig", "2"]], "over both seeds"
    assert "2 clients a point with 2 images; means with 95 % intervals" in table[1]


def test_trainings_are_no_clients(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    federation = ("fl=fedavg", "fl.clients=3", "fl.examples_per_client=2", "model=mlp", "model.hidden=4")
    assert main("-m", "attack=none", *federation, "logger=none", "trials=1", "seed=0,1") == 0
    assert "2 trainings a point; means with 95 % intervals over trainings" in capsys.readouterr().err


def test_a_damaged_run_stops_no_other(main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("sweep=toy", "scale=smoke", "attack.steps=1", "seed=0")
    assert main(*command) == 0
    (folder, other) = sorted(tmp_path.glob("runs/*/rows.jsonl"))
    folder.write_bytes(folder.read_bytes().replace(b"0", b"1", 1))
    capsys.readouterr()
    assert main(*command) == 1
    out, err = capsys.readouterr()
    assert "1 of 2 runs" in out
    assert "is damaged (rows.jsonl, it is not as it was stored): delete it" in err
    assert "Traceback" not in err
    origin = json.loads((tmp_path / "results/toy/digits32-smoke/provenance.json").read_text())
    assert {cell["run"]: cell["finished"] for cell in origin["cells"]} == {
        folder.parent.name: False, other.parent.name: True,
    }  # fmt: skip
    shutil.rmtree(folder.parent)
    assert main(*command) == 0, "it is computed again"


def test_a_failing_run_stops_no_other(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.attacks.dlg import DLG

    def broken(self: object, *arguments: object) -> None:
        raise ZeroDivisionError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(DLG, "run", broken)
        assert main("sweep=toy", "scale=smoke", "seed=0") == 1
    out, err = capsys.readouterr()
    assert len(stamps(tmp_path)) == 2
    assert "attack=dlg, attack.steps=1, seed=0: no result (ZeroDivisionError: a bug)." in out
    assert "the attacker has: dlg: A (the model, the update); ig: B (the model, the update)." in out
    assert "2 of 4 runs have no result; the same command tries them again" in err
    assert "attack=dlg, attack.steps=1, seed=0 and 1 more: ZeroDivisionError: a bug (runs/" in err
    assert main("sweep=toy", "scale=smoke", "seed=0") == 0
    assert len(stamps(tmp_path)) == 4


def test_a_mistake_in_one_run_of_a_multirun_stops_no_other(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that only the run itself can find: what composing finds is answered before anything runs."""
    build = MLP.network

    def network(model: MLP, shape: Shape, classes: int) -> nn.Module:
        if model.hidden == 3:
            raise UserError("three are too few")
        return build(model, shape, classes)

    monkeypatch.setattr(MLP, "network", network)
    assert main("-m", *QUICK, "attack=dlg", "model.hidden=3,4") == 2
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == len(stamps(tmp_path)) == 1
    assert "1 of 2 runs have no result" in err
    assert "attack=dlg" not in err.splitlines()[-1], "what is the same in all runs is no part of their names"
    assert "model.hidden=3: three are too few" in err.splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "attack=dlg,igg"], "attack=igg: attack=igg: there is no such attack; did you mean 'ig'?"),
        (["-m", "attack=dlg", "seed=0,x"], "seed=x: seed: "),
        (["-m", "attack=ggl,dlg"], "attack=ggl: attack=ggl searches a generator's latent space"),
        (["-m", "seed=interval(0,1)"], "a grid takes values, not an interval"),
        (["-m", "sweep=toy", "dataset=digits32,photos32"], "toy is made of one dataset at a time"),
        (["-m", "seeed=0,1"], "seeed: there is no such setting; did you mean 'seed'?"),
        (["-m", "dataset=mnist", "seed=0,1"], "MNIST"),
        (["sweep=toyy"], "did you mean 'toy'?"),
        (["sweep=toy", "hydra.sweeper.titel=x"], "titel"),
    ],
)
def test_a_mistake_is_answered_before_anything_runs(
    main: Main, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert len(err.strip().splitlines()) <= 2
    assert not list(tmp_path.glob("runs/*/config.yaml"))


def test_loggers_know_the_sweep(main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[RunInfo] = []

    def spy(self: NoLogger, run: RunInfo) -> Session:
        told.append(run)
        return Session()

    monkeypatch.setattr(NoLogger, "open", spy)
    one = ("attack=dlg", "attack.steps=1", "seed=0")
    assert main("sweep=toy", "scale=smoke", *one, "label.tags=[mine]") == 0
    assert (told[0].group, told[0].job_type, told[0].name) == ("toy", "dlg", ", ".join(one))
    assert {"mine", "toy", *one} <= set(told[0].tags)


@pytest.mark.slow
def test_processes_make_the_same_multirun(tmp_path: Path) -> None:
    done = harness(
        "-m", *QUICK, "attack=dlg", "seed=0,1", "order=random,sequential",
        "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(set(done.stdout.splitlines())) == len(stamps(tmp_path)) == 4
    assert "[4/4]" in done.stderr
