"""What is told of stolen pictures, seed by seed, and of their judge."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from harness.datasets.digits import Digits32
from harness.metrics.confidence import Confidence
from harness.models.mlp import MLP
from harness.models.training import Training
from harness.papers.theft.reals import judged, likeness
from tests.command import Main
from tests.command import main as main


def test_the_table_tells_every_seed(main: Main, tmp_path: Path) -> None:
    rows = "rows=[Grey,500 steps]"
    assert (
        main("table=dmgan", "scale=smoke", "logger=none", "seed=2", rows, "model=mlp", "model.hidden=8") == 0
    )
    folder = tmp_path / "results" / "dmgan" / "digits32-smoke"
    text = (folder / "report.md").read_text()
    assert "test images it gets" in text
    assert text.count("| Grey |") == text.count("| 500 steps |") == 1
    assert "Grey (seed 2)" in text.partition("Collapsed")[2]
    with Image.open(folder / "gallery.png") as drawn:
        assert drawn.width > drawn.height / 2


def test_real_pictures_are_told_by_a_judge_that_has_learnt(tmp_path: Path) -> None:
    training = Training(steps=60, split="public")
    metric = Confidence(dataset=Digits32(), model=MLP(hidden=16), training=training)
    found = judged(metric, 3, None, str(tmp_path))
    assert found.accuracy > 0.5
    assert 0 <= found.sure <= 1
    assert found.matched == min(found.reals, 64)
    assert 0.1 < found.others < found.likeness < 0.9
    assert 0 < found.average < 1
    assert 0 <= found.average_p <= 1


def test_a_picture_that_is_there_is_as_like_as_can_be() -> None:
    reals = torch.rand(5, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    assert likeness(reals[[3, 1]], reals) == pytest.approx(1)
