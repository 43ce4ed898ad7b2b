"""Table IV in miniature: what is counted, and the masses of the bins."""

from pathlib import Path

import pytest
import torch

from harness.base.rows import read_csv
from harness.config import compose
from harness.core import UserError
from harness.papers.survey.report import counted, images_by_bin
from harness.tables.layout import Cell
from harness.tables.measurement import Outcome
from tests.command import Main
from tests.command import main as main


def outcome(*overrides: str) -> Outcome:
    experiment = compose("attack=rtf", "fl.batch_size=8", *overrides)
    return Outcome(Cell("Row", "B=8", 0, ()), experiment.id, {}, experiment=experiment)


@pytest.mark.parametrize("functional", ["mean", "fourier", "projection"])
def test_bins_by_public_images_hold_about_as_many(functional: str) -> None:
    held = images_by_bin(outcome("model=imprint_mlp", "model.bins=10", f"model.functional={functional}"))
    assert float((held / held.sum() - 0.1).abs().max()) < 0.06


def test_bins_of_another_distribution_do_not() -> None:
    held = images_by_bin(outcome("model=imprint_mlp", "model.bins=10", "model.edges=gaussian"))
    assert float(held.max() / held.sum()) > 0.16


def test_the_table_counts_what_is_recovered(main: Main, tmp_path: Path) -> None:
    assert main("table=survey_rtf", "scale=smoke", "logger=none", "seed=0,1") == 0
    folder = tmp_path / "results" / "survey_rtf" / "digits32-smoke"
    lines = read_csv(folder / "bins.csv")
    assert len(lines) == 12
    assert {line["draws"] for line in lines} == {"2"}
    whole = [line for line in lines if line["column"] == "B=1"]
    assert all(float(line["recovered"]) == float(line["expected"]) == 1 for line in whole)
    for line in lines:
        assert float(line["recovered"]) <= int(line["column"][2:])
    text = (folder / "report.md").read_text()
    assert "| 2 / (mu + L) |" in text
    assert "dB at worst" in text or "No image leaves" in text
    assert torch.tensor([int(line["parameters"]) for line in lines]).unique().tolist() == [2049000 + 1024]


def test_another_attack_is_refused() -> None:
    other = outcome("model=lenet", "attack=dlg")
    with pytest.raises(UserError, match="imprint"):
        counted("Row", "B=8", [other])
