"""DMGAN from the configuration to the store: its pictures, their controls, and what the adversary owns."""

from pathlib import Path

import pytest

from harness.config.composition import compose
from harness.core import Record, UserError
from harness.runs.rounds import Rounds
from harness.runs.run import run

CELL = (
    *(
        "attack=dmgan",
        "dataset=digits32",
        "logger=none",
        "model=mlp",
        "model.hidden=8",
        "model.extra_outputs=1",
    ),
    *("fl=fedavg", "fl.clients=3", "fl.first_attack=2", "fl.lr=0.05", "trials=2", "scale=smoke"),
    *(
        "scale.trials=null",
        "attack.adversary.steps=2",
        "attack.adversary.base=8",
        "attack.adversary.pictures=4",
    ),
)


def carry_out(folder: Path, *overrides: str) -> Record:
    return run(compose(*CELL, f"paths.runs={folder}", *overrides))


def test_a_row_is_a_picture_beside_a_real_one_of_another_client(tmp_path: Path) -> None:
    record = carry_out(tmp_path)
    assert [row["round"] for row in record.rows] == [1] * 4 + [2] * 4
    assert {row["label"] for row in record.rows} == {row["label_inferred"] for row in record.rows} == {3}
    targets = Rounds(compose(*CELL))
    others = {row for client in (1, 2) for row in targets.population.indices(client)}
    assert {row["target"] for row in record.rows} <= others
    assert all(row["own_images"] > 0 for row in record.rows)
    assert all(row["psnr_unit"] is not None for row in record.rows)


def test_an_adversary_may_be_without_an_image_of_the_class(tmp_path: Path) -> None:
    record = carry_out(tmp_path, "attack.adversary.withhold=true")
    assert {row["own_images"] for row in record.rows} == {0}


@pytest.mark.parametrize("source", ["grey", "noise"])
def test_controls_are_scored_alike(source: str, tmp_path: Path) -> None:
    record = carry_out(tmp_path, f"attack.source={source}", "trials=1")
    assert len(record.rows) == 4
    assert all(0 < row["psnr_unit"] < 20 for row in record.rows)


def test_without_steps_the_pictures_are_those_of_an_untrained_generator(tmp_path: Path) -> None:
    same = carry_out(tmp_path, "attack.adversary.steps=0", "fl.attack_every=3")
    first, second = same.rows[:4], same.rows[4:]
    assert [row["round"] for row in first + second] == [1] * 4 + [4] * 4
    assert {row["client"] for row in same.rows} == {0}
    assert all(abs(a["psnr_unit"] - b["psnr_unit"]) < 1 for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.extra_outputs=0"], r"say model\.extra_outputs=1"),
        (["fl=fedsgd"], r"say fl=fedavg fl\.clients=10"),
    ],
)
def test_what_it_can_not_do_without_is_named(overrides: list[str], message: str) -> None:
    base = [each for each in CELL if not (overrides == ["fl=fedsgd"] and each.startswith("fl"))]
    with pytest.raises(UserError, match=message):
        compose(*base, *overrides)


def test_a_client_or_class_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no client 7"):
        Rounds(compose(*CELL, "attack.adversary.client=7"))
    with pytest.raises(UserError, match="nobody else holds an image of class 11"):
        carry_out(tmp_path, "attack.adversary.tracked=11")
