"""A learning rate or a batch size that the recipe leaves out is told exactly, estimated, or named."""

from pathlib import Path
from typing import Any

import pytest
import torch

from harness.audit.case import Case
from harness.audit.estimates import estimated
from harness.audit.exact import exact
from tests.audit.clients import Dense, client, trained, written
from tests.audit.test_bad_input import Normal
from tests.audit.test_exact import opened


def completed(path: Path) -> Case:
    case = opened(path)
    return estimated(case, exact(case, 1))


def update(path: Path, count: int, batch: int = 8, lr: float = 0.1, **facts: Any) -> Path:
    """Of a client whose recipe leaves out the learning rate."""
    torch.manual_seed(0)
    said = {"examples": count, "batch_size": batch, "lr": None, **facts}
    return written(path, trained(Dense(), count, batch, lr), **said)


@pytest.mark.parametrize("lr", [0.003, 0.1, 2.0])
def test_a_single_image_tells_the_learning_rate(lr: float, tmp_path: Path) -> None:
    case = completed(update(tmp_path / "u.npz", 1, lr=lr, batch_size=None))
    assert case.recipe.lr == pytest.approx(lr, rel=1e-3)
    assert case.recipe.batch_size == 1
    assert case.observation is not None
    assert any(note.startswith("lr: estimated, ") for note in case.notes)


def test_a_single_image_tells_it_behind_batch_norm(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Normal().eval()
    facts = {"model": "tests.audit.test_bad_input:Normal", "mode": "eval", "lr": None, "examples": 1}
    case = completed(written(tmp_path / "u.npz", trained(model, 1, lr=0.02), **facts))
    assert case.recipe.lr == pytest.approx(0.02, rel=1e-3)


def test_a_batch_that_is_recovered_tells_it_and_that_it_was_one_step(tmp_path: Path) -> None:
    case = completed(update(tmp_path / "u.npz", 5, lr=0.05, batch_size=None))
    assert case.recipe.lr == pytest.approx(0.05, rel=1e-3)
    assert case.recipe.batch_size == 5
    assert any(note.startswith("batch_size: taken to be all 5") for note in case.notes)


def test_absent_classes_tell_about_how_large_it_is(tmp_path: Path) -> None:
    case = completed(update(tmp_path / "u.npz", 6, batch=3, lr=0.05))
    assert case.steps == 2
    assert case.recipe.lr == pytest.approx(0.05, rel=0.3)
    assert any("classes that no image has say" in note for note in case.notes)


def test_what_can_not_be_told_prevents_an_attack(tmp_path: Path) -> None:
    case = completed(update(tmp_path / "many.npz", 12))
    assert case.observation is None
    assert case.lacking.startswith("the recipe does not say lr, and the update does not tell: 12 images may")
    case = completed(update(tmp_path / "steps.npz", 6, batch=3, batch_size=None))
    assert case.lacking.startswith("the recipe does not say batch_size, lr, and the update does not tell: it")


def test_two_steps_are_not_taken_for_one_of_another_learning_rate(tmp_path: Path) -> None:
    torch.manual_seed(0)
    arrays = trained(Dense(), 2, batch=1, lr=1e-3)
    case = completed(written(tmp_path / "u.npz", arrays, examples=2, batch_size=None, lr=1e-3))
    assert case.recipe.batch_size is None
    assert case.lacking.endswith("it is 2 times what one step of lr 0.001 makes")
    assert completed(client(tmp_path / "one.npz", 4, batch_size=None)).recipe.batch_size == 4


def test_an_update_whose_recipe_is_whole_is_left_alone(tmp_path: Path) -> None:
    case = opened(client(tmp_path / "u.npz"))
    assert estimated(case, []) is case
