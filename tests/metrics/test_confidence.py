"""A judge learns from public images alone, once, and knows a digit from grey."""

from pathlib import Path

import pytest
import torch
from torch import nn

from harness.config import compose
from harness.core import Batch, Classifier, Normalize, UserError
from harness.datasets.digits import Digits32
from harness.metrics import confidence as module
from harness.metrics.confidence import Confidence
from harness.metrics.reached import Reached
from harness.models.mlp import MLP
from harness.models.training import Training
from harness.models.victim import pairs
from harness.runs.run import run

NOBODY = Classifier(Normalize((0.0,), (1.0,)), nn.Linear(1, 1))
DIGITS = Digits32()


def metric(steps: int = 120, public: float = 0.8) -> Confidence:
    training = Training(steps=steps, split="public")
    return Confidence(dataset=Digits32(public_fraction=public), model=MLP(hidden=64), training=training)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_JUDGES", {})


def digits(count: int = 64) -> Batch:
    return Batch(*pairs(DIGITS.load("attack", None), torch.arange(count)))


def test_it_is_surer_of_digits_than_of_others_or_grey(tmp_path: Path) -> None:
    judge, truth = metric(), digits()
    judge.learn(None, str(tmp_path))
    own = judge(truth, truth, NOBODY, {})
    other = judge(truth, Batch(truth.x, (truth.y + 1) % 10), NOBODY, {})
    grey = judge(Batch(torch.full_like(truth.x, 0.5), truth.y), truth, NOBODY, {})
    assert own is not None
    assert other is not None
    assert grey is not None
    assert own.mean() > 0.5 > max(grey.mean(), other.mean())
    sure = Reached(metric=judge, threshold=0.9)(truth, truth, NOBODY, {})
    assert sure is not None
    assert torch.equal(sure, own > 0.9)


def test_it_is_the_same_for_all_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = metric(10), Reached(metric=metric(10), threshold=0.9)
    one.learn(None, str(tmp_path))
    other.learn(None, str(tmp_path))
    assert capsys.readouterr().err.count("10 steps") == 1
    metric(10).learn(None, str(tmp_path / "elsewhere"))
    again = metric(10).judge(None, str(tmp_path))
    for name, value in module._JUDGES[one._settings].state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


def test_without_having_learnt_there_is_no_score() -> None:
    assert metric()(digits(2), digits(2), NOBODY, {}) is None


def test_without_public_images_there_is_no_judge(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the public split has no images"):
        metric(public=0.0).learn(None, str(tmp_path))


def test_a_run_learns_from_its_own_data_set(tmp_path: Path) -> None:
    overrides = (
        "metric=confidence",
        "attack=idlg",
        "scale=smoke",
        "logger=none",
        "dataset.public_fraction=0.3",
    )
    quick = "metric.metrics.confidence.training.steps=2"
    experiment = compose(*overrides, quick, f"paths.runs={tmp_path}")
    judge = experiment.metric.metrics["confidence"]
    assert isinstance(judge, Confidence)
    assert judge.dataset == experiment.dataset
    (row,) = run(experiment).rows
    assert 0 < row["confidence"] < 1
    assert row["confident"] is False
    assert row["spread"] == 0
    assert len([*(tmp_path / "judges").iterdir()]) == 1
    assert experiment.id == compose(*overrides, "metric=default").id
