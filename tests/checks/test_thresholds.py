"""A client's checks, in the rows of a run."""

from pathlib import Path

import pytest

from harness.config import compose
from harness.config.experiment import Experiment
from harness.core import UserError
from harness.runs.clients import open_targets
from harness.runs.run import run

GIVEN = (
    "dataset=photos32",
    "attack=dlg",
    "model.normalize=none",
    "fl.dummies=1",
    "fl.batch_size=8",
    "logger=none",
)
MODELS = ("lenet", "cnn", "mlp")


def detected(experiment: Experiment) -> list[str]:
    targets = open_targets(experiment)
    return [str(targets.client(place).circumstances["detected_by"]) for place in range(targets.trials)]


@pytest.mark.parametrize("model", MODELS)
def test_honest_servers_are_left_alone(model: str) -> None:
    given = (*GIVEN, "checks=thresholds", f"model={model}", "trials=2")
    assert detected(compose(*given)) == ["", ""]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("server", "sign"),
    [("imprint", "parallel rows"), ("trap_weights", "half-negated rows"), ("class_fishing", "silent class")],
)
def test_malicious_servers_are_detected(model: str, server: str, sign: str) -> None:
    (signs,) = detected(
        compose(*GIVEN, "checks=thresholds", f"model={model}", "trials=1", f"server={server}")
    )
    assert sign in signs.split(", ")


def test_a_threshold_that_is_raised_lets_its_sign_pass() -> None:
    given = (*GIVEN, "checks=thresholds", "model=mlp", "trials=1", "server=trap_weights")
    assert "half-negated rows" not in detected(compose(*given, "checks.half_negated_rows=1"))[0]


def test_checks_change_nothing_but_their_columns(tmp_path: Path) -> None:
    given = (*GIVEN[:-3], "attack.steps=2", "trials=1", "logger=none", f"paths.runs={tmp_path}")
    plain, checked = compose(*given), compose(*given, "checks=thresholds")
    assert plain.id == compose(*given, "checks=none").id != checked.id
    (without,), (row,) = run(plain).rows, run(checked).rows
    assert row["detected"] is False
    assert row["detected_by"] == ""
    assert set(row) - set(without) == {"detected", "detected_by"}
    assert row["loss"] == without["loss"]


def test_clients_in_rounds_check_too(tmp_path: Path) -> None:
    rounds = (
        "fl=fedavg",
        "fl.clients=3",
        "dataset=digits32",
        "model=mlp",
        "model.hidden=8",
        "fl.batch_size=200",
    )
    given = (
        *rounds,
        "logger=none",
        f"paths.runs={tmp_path}",
        "checks=thresholds",
        "trials=1",
        "fl.dummies=1",
    )
    rows = run(compose(*given, "attack=dlg", "attack.steps=1")).rows
    assert [row["detected_by"] for row in rows] == [""]
    for attack in (("attack=none",), ("attack=dmgan", "model.extra_outputs=1")):
        with pytest.raises(UserError, match="reads no client's update: say checks=none"):
            compose(*given, *attack)


def test_checks_in_rounds_change_nothing_but_their_columns(tmp_path: Path) -> None:
    """Of a network with batch statistics, too, which a forward pass could move."""
    block = ("attack=rtf", "model=imprint_resnet18", "model.base.width=4", "model.base.blocks=1")
    rounds = ("fl=fedavg", "fl.clients=40", "fl.dummies=8", "fl.normalization=train", "trials=2")
    given = (*block, *rounds, "dataset=digits32", "logger=none", f"paths.runs={tmp_path}")
    plain, checked = run(compose(*given)).rows, run(compose(*given, "checks=thresholds")).rows
    own = {"detected", "detected_by"}
    assert all("parallel rows" in row["detected_by"] for row in checked)
    assert [{k: v for k, v in row.items() if k not in own | {"seconds"}} for row in checked] == [
        {k: v for k, v in row.items() if k != "seconds"} for row in plain
    ]


def test_an_isolated_image_outweighs_the_others() -> None:
    given = (*GIVEN, "checks=thresholds", "model=mlp", "trials=1", "order=distinct", "server=class_fishing")
    label = int(open_targets(compose(*given)).client(0).truth.y[3])
    assert detected(compose(*given, f"server.target={label}")) == ["silent class, loss, D-SNR"]
