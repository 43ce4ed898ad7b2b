"""A tuning from the command line, with real but tiny runs."""

from pathlib import Path

import pandas
import pytest
import yaml

from harness.base.schema import EXPERIMENTS
from harness.config import compose
from harness.tuning.spec import parse
from tests.command import Main, stamps, write_plan
from tests.command import main as main

TOY = {
    "name": "toy",
    "title": "A toy tuning",
    "metric": "mse",
    "base": [
        "trials=2",
        "logger=none",
        "model=mlp",
        "metric.metrics={mse:{_target_:harness.metrics.mse.MSE}}",
    ],
    "candidates": 3,
    "at_once": 2,
    "rows": {
        "IG": {
            "overrides": ["attack=ig", "attack.steps=2"],
            "space": {"attack.total_variation": {"low": 0.001, "high": 1.0, "log": True}},
        },
        "DLG": {"overrides": ["attack=dlg", "attack.steps=1"], "space": {"attack.tolerance": [1e-6, 1e-3]}},
    },
}


@pytest.fixture(autouse=True)
def toy(tmp_path: Path) -> None:
    write_plan(tmp_path / "own", "tune", TOY)


def test_a_tuning_is_made_once_and_shown(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("tune=toy", "scale=paper") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "results/tune-toy/digits32-paper/"
    folder = tmp_path / "results" / "tune-toy" / "digits32-paper"
    assert {path.name for path in folder.iterdir()} == {
        "candidates.csv",
        "course.png",
        "best.yaml",
        "tune.md",
    }
    table = pandas.read_csv(folder / "candidates.csv")
    assert list(table["row"]) == ["IG"] * 3 + ["DLG"] * 3
    assert table["attack.total_variation"][0] == 0.1  # as conf/attack/ig.yaml has it
    assert (table["images"] == 2).all()
    best = yaml.safe_load((folder / "best.yaml").read_text())["rows"]
    leader = table[table["row"] == "IG"].sort_values("mse").iloc[0]
    assert best["IG"][-1] == f"attack.total_variation={leader['attack.total_variation']}"
    compose(*best["IG"])

    done = stamps(tmp_path)
    assert main("tune=toy", "scale=paper") == 0
    assert stamps(tmp_path) == done  # nothing is computed again
    assert pandas.read_csv(folder / "candidates.csv").equals(table)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["attack=gi"], "the rows of toy choose the attack"),
        (["attack.tolerance=1"], "the rows of toy choose the attack.tolerance"),
        (["seed=0,1"], "a tuning takes one value"),
        (["hydra.sweeper.metric=mes"], "no run measures 'mes'; did you mean 'mse'?"),
        (["hydra.sweeper.metric=round"], "higher_is_better"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], said: str, main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("tune=toy", "scale=paper", *arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert said in error[-1]
    assert not (tmp_path / "runs").exists()


def test_plans_exclude_each_other(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("tune=toy", "table=table3") == 2
    assert "table= and tune= exclude each other" in capsys.readouterr().err


@pytest.mark.parametrize("path", sorted((EXPERIMENTS / "tune").glob("*.yaml")), ids=lambda path: path.stem)
def test_tunings_that_come_with_the_harness_are_whole(path: Path) -> None:
    tuning = parse(yaml.safe_load(path.read_text())["hydra"]["sweeper"])
    for scale in ("smoke", "small", "medium", "paper"):
        for row in tuning.rows:
            compose(*tuning.candidate(row, 0, (), scale, [f"scale={scale}"], []).overrides)
