"""Training of the victim before its clients send anything."""

from pathlib import Path

import pytest
import torch

from harness.config.composition import compose
from harness.core import Classifier, UserError
from harness.datasets.digits import Digits32
from harness.models.mlp import MLP
from harness.models.training import Training
from harness.models.victim import right

CPU = torch.device("cpu")
DIGITS, NETWORK = Digits32(), MLP(hidden=16)


def trained(cache: Path, steps: int, seed: int = 0) -> Classifier:
    return Training(steps=steps).model(NETWORK, DIGITS, None, str(cache), seed, CPU)


def test_training_helps_is_kept_and_depends_on_the_seed_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(3)
    model = trained(tmp_path, 60)
    assert "60 steps" in capsys.readouterr().err
    assert (
        right(model, DIGITS.load("attack", None))
        > 0.5
        > right(trained(tmp_path, 0), DIGITS.load("attack", None))
    )
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    torch.manual_seed(4)
    kept, again = trained(tmp_path, 60), trained(tmp_path / "elsewhere", 60)
    assert capsys.readouterr().err.count("60 steps") == 1, "what is in the cache is not trained again"
    for name, value in model.state_dict().items():
        assert torch.equal(kept.state_dict()[name], value)
        assert torch.equal(again.state_dict()[name], value)


def test_no_step_is_the_network_as_it_was_drawn(tmp_path: Path) -> None:
    drawn = NETWORK.build(DIGITS, 0)
    for name, value in trained(tmp_path, 0).state_dict().items():
        assert torch.equal(drawn.state_dict()[name], value)
    assert not list(tmp_path.iterdir())


def test_a_training_that_diverges_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"diverged: lower training\.lr"):
        Training(steps=4, lr=1e20).model(NETWORK, DIGITS, None, str(tmp_path), 0, CPU)


def test_old_runs_keep_their_ids_and_a_trained_model_has_another() -> None:
    base = compose("model=mlp")
    assert "training" not in base.identity
    assert compose("model=mlp", "training.steps=5").id != base.id
    with pytest.raises(UserError, match=r"say model\.fresh=false"):
        compose("model=lenet", "training.steps=5")
