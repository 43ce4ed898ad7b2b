"""What malicious servers plant, as clients and attacks meet it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness.config.composition import compose
from harness.config.experiment import Experiment
from harness.core import UserError
from harness.runs.clients import open_targets
from harness.runs.run import run

Compose = Callable[..., Experiment]
TRAPS = (
    "server=trap_weights",
    "model=mlp",
    "model.normalize=none",
    "model.hidden=256",
    "attack=quotients",
    "server.scale=0.97",
)
FISHING = ("server=class_fishing", "fl.dummies=1", "fl.batch_size=8", "order=distinct")


@pytest.fixture
def composed(tmp_path: Path) -> Compose:
    def make(*changes: str) -> Experiment:
        given = ("dataset=photos32", "trials=1", "logger=none", f"paths.runs={tmp_path}")
        return compose(*given, *changes)

    return make


def test_an_honest_server_is_no_part_of_an_id() -> None:
    assert compose().id == compose("server=honest").id != compose("server=trap_weights").id


def test_an_imprint_before_any_model_is_that_of_its_imprint_model(composed: Compose) -> None:
    served = composed("model=mlp", "model.normalize=symmetric", "server=imprint", "attack=rtf")
    named = composed("model=imprint_mlp", "attack=rtf")
    ours, theirs = (dict(open_targets(each).fixed_model.named_parameters()) for each in (served, named))
    assert {name: value.tolist() for name, value in ours.items()} == {
        name: value.tolist() for name, value in theirs.items()
    }


def test_an_imprint_is_planted_in_a_network_that_was_trained(composed: Compose) -> None:
    rtf = ("model=mlp", "attack=rtf", "server=imprint", "server.bins=50", "fl.batch_size=2")
    rows = run(composed(*rtf, "training.steps=3", "training.lr=0.1")).rows
    assert all(row["psnr_unit"] > 60 for row in rows)


def test_images_that_are_alone_in_a_unit_are_read_exactly(composed: Compose) -> None:
    rows = run(composed(*TRAPS, "fl.batch_size=8")).rows
    exact = [row["psnr_unit"] > 60 for row in rows]
    assert sum(exact) >= 4
    experiment = composed(*TRAPS, "fl.batch_size=8")
    seen = open_targets(experiment).client(0).problem.observation
    found = experiment.attack.reconstruct(seen, torch.Generator())
    truth = open_targets(experiment).client(0).truth.x
    returned = found.x[: int(found.trace[0]["returned"])]
    nearest = torch.cdist(returned.flatten(1).double(), truth.flatten(1).double()).amin(1)
    assert float(nearest.square().max()) / returned[0].numel() < 1e-6, "no reading that repeats is false"
    mixed = run(composed(*TRAPS, "fl.batch_size=8", "attack.repeats=1")).rows
    assert sum(row["psnr_unit"] > 60 for row in mixed) < 8, "the box takes mixtures for images"


def test_a_fished_image_is_read_off_an_mlp(composed: Compose) -> None:
    experiment = composed(*FISHING, "model=mlp", "attack=quotients")
    client = open_targets(experiment).client(0)
    label = int(client.truth.y[3])
    rows = run(composed(*FISHING, "model=mlp", "attack=quotients", f"server.target={label}")).rows
    (row,) = [row for row in rows if row["psnr_unit"] is not None]
    assert row["psnr_unit"] > 60


def test_a_class_that_the_client_has_is_found_by_its_update(composed: Compose) -> None:
    fished = (*FISHING, "model=mlp", "attack=quotients", "server.target=null", "order=random", "alike=1")
    for changes in ((), ("training.steps=20",)):
        (row,) = [row for row in run(composed(*fished, *changes)).rows if row["psnr_unit"] is not None]
        assert row["psnr_unit"] > 60


def test_several_local_steps_leak_other_images_in(composed: Compose) -> None:
    steps = ("fl=fedavg", "fl.examples_per_client=8", "fl.batch_size=4", "fl.local_epochs=2")
    given = (
        *FISHING,
        *steps,
        "model=mlp",
        "attack=quotients",
        "server.target=null",
        "server.several_steps=true",
    )
    few, many = (
        max(row["psnr_unit"] or 0.0 for row in run(composed(*given, f"fl.lr={lr}")).rows)
        for lr in (1e-3, 0.1)
    )
    assert few > 60 > 30 > many


ONE_CLASS = ("server=feature_fishing", "fl.dummies=1", "fl.batch_size=6", "model=mlp", "attack=quotients")
ALIVE = ("model.nonlinearity=sigmoid", "attack.repeats=1")
"""No feature is ever zero; and the one that is left is read by a single unit."""


def test_the_image_with_the_smallest_feature_of_one_class_is_read(composed: Compose) -> None:
    rows = run(composed(*ONE_CLASS, *ALIVE, "order=same_class")).rows
    (row,) = [row for row in rows if row["psnr_unit"] is not None]
    assert row["psnr_unit"] > 60


def test_of_a_mixed_batch_feature_fishing_isolates_nothing(composed: Compose) -> None:
    rows = run(composed(*ONE_CLASS, *ALIVE, "order=distinct")).rows
    assert all(row["psnr_unit"] is None or row["psnr_unit"] < 30 for row in rows)


def test_networks_with_frozen_heads_of_their_own_are_searched_one_after_the_other(
    composed: Compose, tmp_path: Path
) -> None:
    given = (*FISHING, "model=lenet", "attack=ig", "attack.steps=3", "trials=3", "attack.slots=2")
    together, alone = (
        [
            row["psnr_unit"]
            for row in run(composed(*given, f"attack.engine={engine}", f"paths.runs={folder}")).rows
        ]
        for engine, folder in (("vmap", tmp_path / "vmap"), ("loop", tmp_path / "loop"))
    )
    assert len(set(alone)) > 1
    assert together == pytest.approx(alone, abs=1e-3)


def test_an_honest_server_asks_nobody(composed: Compose) -> None:
    targets = open_targets(composed("model=mlp", "attack=quotients"))
    assert targets.client(0).problem.observation.model is targets.fixed_model


def test_what_can_not_be_is_said_in_a_line(composed: Compose) -> None:
    for changes, told in (
        (("server=imprint", "model=imprint_mlp"), "has an imprint block of its own"),
        (("server=class_fishing", "fl.batch_size=8"), "fishing isolates one image: say fl.dummies=1"),
        ((*FISHING, "fl=fedavg", "fl.local_epochs=2"), "gradient of one step: say fl=fedsgd"),
    ):
        with pytest.raises(UserError, match=told):
            composed(*changes)
    for settings, told in (
        ((*FISHING, "server.target=99"), "classes are 0 to"),
        (("server=trap_weights", "model.normalize=symmetric"), "say model.normalize=none"),
        (("attack=quotients", "model=lenet"), "say model=mlp"),
    ):
        with pytest.raises(UserError, match=told):
            run(composed(*settings))
