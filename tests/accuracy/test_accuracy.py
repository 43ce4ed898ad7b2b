"""The curves of networks in federated rounds: measured once, continued, and drawn with the paper's numbers."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.accuracy import __main__ as command
from harness.accuracy import figure
from harness.accuracy.curve import Curve, Point, measure
from harness.config.composition import compose

CELL = (
    "logger=none",
    "model=mlp",
    "model.hidden=16",
    "fl=fedavg",
    "fl.clients=3",
    "fl.lr=0.05",
    "fl.batch_size=10",
)


def curve(store: Path, rounds: int) -> Any:
    return measure("MLP", compose(*CELL), rounds, 150, store)


def accuracies(found: Any) -> list[tuple[int, float, float]]:
    return [(point.round, point.test_accuracy, point.test_loss) for point in found.points]


def test_a_curve_goes_on_where_it_stopped(tmp_path: Path) -> None:
    whole = curve(tmp_path / "one", 4)
    assert [point.round for point in whole.points] == [0, 1, 2, 3, 4]
    assert whole.points[4].test_loss < whole.points[0].test_loss
    assert (whole.trained_on, whole.tested_on) == (120, 30)
    assert accuracies(curve(tmp_path / "other", 2)) == accuracies(whole)[:3]
    stamps = [path.stat().st_mtime_ns for path in (tmp_path / "other").rglob("curve.csv")]
    assert accuracies(curve(tmp_path / "other", 1)) == accuracies(whole)[:2]
    assert stamps == [path.stat().st_mtime_ns for path in (tmp_path / "other").rglob("curve.csv")]
    assert accuracies(curve(tmp_path / "other", 4)) == accuracies(whole)


def test_points_outlive_a_lost_checkpoint(tmp_path: Path) -> None:
    whole = curve(tmp_path, 2)
    for path in tmp_path.rglob("*.ckpt"):
        path.unlink()
    assert curve(tmp_path, 3).points[:3] == whole.points


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "SCALES", {"small": command.Scale(1, 200, False)})
    monkeypatch.setattr(command, "NETWORKS", {"MLP (256 hidden)": "mlp", "CNN": "cnn3"})


@pytest.mark.usefixtures("narrow")
def test_the_command_draws_what_was_measured_beside_what_is_published(tmp_path: Path) -> None:
    arguments = ["--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    assert command.main([*arguments, "--only", "mlp"]) == 0
    folder = tmp_path / "results" / "accuracy" / "digits32-small"
    assert {path.name for path in folder.iterdir()} == {
        "curves.csv",
        "figure.png",
        "table.md",
        "provenance.json",
    }
    assert "51 %" in (folder / "table.md").read_text()
    assert json.loads((folder / "provenance.json").read_text())["title"] == figure.TITLE
    shutil.rmtree(tmp_path / "runs")
    assert command.main([*arguments, "--only", "cnn3"]) == 0
    with (folder / "curves.csv").open(newline="") as file:
        assert {row["model"] for row in csv.DictReader(file)} == {"MLP (256 hidden)", "CNN"}
    assert figure.load(folder)["CNN"].tested_on == 36


def test_short_curves_say_that_they_decide_nothing() -> None:
    points = [Point(number, 0.7, 1.0, 1.0) for number in range(101)]
    short, few, whole = (
        Curve("CNN", points[:13], 39_204, 9_796),
        Curve("MLP (256 hidden)", points, 4_003, 997),
        Curve("ResNet18", points, 39_204, 9_796),
    )
    told = figure.short_of_the_paper([short, few, whole])[-1]
    assert "neither confirm its numbers nor contradict them" in told
    assert told.endswith("CNN, 12 rounds on 39,204 images; MLP (256 hidden), 100 rounds on 4,003 images.")
    assert figure.short_of_the_paper([whole]) == []


def test_a_mistake_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--runs", str(tmp_path), "--results", str(tmp_path), "--dataset", "digits"]
    assert command.main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_every_network_of_the_paper_has_its_published_number() -> None:
    assert set(figure.published()) == {"CNN", "ResNet18", "MLP (256 hidden)", "Imprint+ResNet18"}
    assert set(command.NETWORKS) == set(figure.published())
