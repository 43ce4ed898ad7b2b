"""The published numbers: the right ones, beside the right cells."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from harness.base.rows import read_csv
from harness.base.schema import EXPERIMENTS
from harness.core import UserError
from harness.tables import reference
from harness.tables.reference import published, read
from harness.tables.spec import Table

OTHERWISE = {"noteasy_outcomes", "noteasy_fig48"}
"""Words, and curves, of which a note speaks."""
FILES = [path for path in sorted((EXPERIMENTS / "reference").glob("*.csv")) if path.stem not in OTHERWISE]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_can_be_read(path: Path) -> None:
    assert all(read(path).values())


def test_table_3_is_the_papers(table3: Table) -> None:
    numbers = published(table3, "digits32")
    assert set(numbers) == {
        (row, column, metric) for row in table3.rows for column in table3.columns for metric in table3.metrics
        if metric not in ("ssim", "label_correct")  # the paper has neither
    }  # fmt: skip
    assert numbers["GGL", "Clipping", "psnr_ggl"] == 11.1902
    assert numbers["IG", "Clipping", "mse_ggl"] == 0.0543
    assert numbers["DLG", "Soteria", "lpips_vgg"] == 0.8007
    assert numbers["iDLG", "Sparsification", "mse_r"] == 0.0162
    assert numbers["GI", "Additive noise", "mse_ggl"] == 0.5738
    assert published(table3, "imagenet")["GGL", "Sparsification", "mse_ggl"] == 0.2141


@pytest.mark.parametrize("dataset", ["CelebA", "ImageNet"])
def test_psnr_is_the_logarithm_of_mse_in_all_cells_of_the_paper(dataset: str) -> None:
    from math import log10

    numbers = read(EXPERIMENTS / "reference" / "ggl_table3.csv")[dataset]
    errors = [
        abs(value + 10 * log10(numbers[row, column, "mse_ggl"]))
        for (row, column, metric), value in numbers.items()
        if metric == "psnr_ggl"
    ]
    assert len(errors) == 20
    assert max(errors) < 0.004


def test_a_table_without_a_reference_has_no_published_numbers(table: Table) -> None:
    assert published(table, "digits32") == {}


def test_a_missing_or_wrong_file_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no published numbers"):
        read(tmp_path / "nothing.csv")
    (tmp_path / "wrong.csv").write_text("row,column\n1,2\n")
    with pytest.raises(UserError, match="columns must begin with"):
        read(tmp_path / "wrong.csv")


def test_a_dataset_that_the_file_lacks_is_a_user_error(
    table3: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "read", lambda path: {"MNIST": {}})
    with pytest.raises(UserError, match="has no dataset 'CelebA'"):
        published(table3, "digits32")


def test_the_sweep_of_accuracy_says_what_figure_48_does() -> None:
    sweep = OmegaConf.load(EXPERIMENTS / "sweep" / "accuracy.yaml").hydra.sweeper
    lines = read_csv(EXPERIMENTS / "reference" / "noteasy_fig48.csv")
    assert len(lines) == len(sweep.grid.model) == 4
    for line in lines:
        reached = f"{line['test_accuracy_pct']} %" if line["test_accuracy_pct"] else "does not converge"
        assert f"{line['model'].split()[0]} {reached}" in sweep.notes.all
