"""The client's own images show whether the recipe is right, where they can."""

from pathlib import Path
from typing import Any

import pytest
import torch

from harness.audit.case import open_case
from harness.audit.checks import Check
from harness.audit.inputs import read_files
from harness.audit.own import own_data
from harness.audit.recipe import read_recipe
from harness.audit.truth import read_truth
from harness.base.errors import UserError
from harness.commands.audit import main
from tests.audit.clients import SHAPE, client, images
from tests.audit.test_report import audited
from tests.audit.test_report import truth as folder_of


def own(folder: Path, count: int = 8, held: int | None = None, **facts: Any) -> Check:
    folder.mkdir(exist_ok=True)
    path = client(folder / "u.npz", count, **facts)
    files = read_files(path)
    if not (folder / "own").exists():
        folder_of(folder / "own", held or count)
    data = read_truth(folder / "own", SHAPE, "--own-data", numbered=True)
    return own_data(open_case(files, read_recipe(None, files.facts)), data)


def test_the_right_recipe_gives_the_update(tmp_path: Path) -> None:
    found = own(tmp_path)
    assert found.verdict == "ok"
    assert found.value is not None
    assert found.value < 1e-4


@pytest.mark.parametrize(
    ("facts", "least"),
    [({"normalization": None}, 0.3), ({"weight_decay": 0.5}, 0.01), ({"lr": 0.2}, 0.4)],
    ids=["normalization", "decay", "lr"],
)
def test_a_wrong_recipe_does_not(facts: dict[str, Any], least: float, tmp_path: Path) -> None:
    found = own(tmp_path, **facts)
    assert found.verdict == "alarm"
    assert found.value is not None
    assert found.value > least


def test_a_learning_rate_is_read_as_a_factor(tmp_path: Path) -> None:
    assert "0.5 times" in own(tmp_path, lr=0.2).meaning


def test_several_steps_are_told_by_their_order_alone(tmp_path: Path) -> None:
    order = [list(range(8)), list(range(8, 16))]
    assert own(tmp_path, 16, order=order).verdict == "ok"
    assert own(tmp_path, 16, order=order[::-1]).verdict == "alarm"
    undecided = own(tmp_path, 16)
    assert undecided.value is None
    assert "order of the 2 local steps was not recorded" in undecided.meaning


def test_other_numbers_and_unnumbered_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="7 images are there, and the client trained on 8"):
        own(tmp_path / "few", held=7)
    (folder_of(tmp_path / "own", 8) / str(int(images(8)[1][0]))).rename(tmp_path / "own" / "cats")
    with pytest.raises(UserError, match="in a folder 0 to 9, by its number"):
        own(tmp_path)


def test_the_report_has_the_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = client(tmp_path / "u.npz", 4)
    folder = str(folder_of(tmp_path / "own", 4))
    report = audited(tmp_path, str(path), "--own-data", folder, "--budget", "3s", "--no-images")
    assert report["checks"][-1]["name"] == "the recipe on your own images"
    assert report["checks"][-1]["verdict"] == "ok"
    assert main([str(path), "--own-data", str(tmp_path / "none")]) == 2
    assert "--own-data" in capsys.readouterr().err


def test_images_are_numbered_by_their_names(tmp_path: Path) -> None:
    x, y = images(12)
    found = read_truth(folder_of(tmp_path, 12), SHAPE, "--own-data", numbered=True)
    assert torch.equal(found.y, y)
    assert torch.allclose(found.x.float(), x, atol=1e-6)


def test_augmentation_leaves_it_undecided_and_is_said(tmp_path: Path) -> None:
    undecided = own(tmp_path, augmentation=True)
    assert (undecided.value, undecided.verdict) == (None, "not applicable")
    assert "augmentation" in undecided.meaning
    files = read_files(tmp_path / "u.npz")
    notes = open_case(files, read_recipe(None, files.facts)).notes
    assert any(note.startswith("augmentation: ") for note in notes)
