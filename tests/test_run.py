"""One run from end to end: what its rows say when all goes well, and when nothing does."""

from pathlib import Path

from harness.config import compose
from harness.core import Record
from harness.records import Store
from harness.run import run

CELL = ("scale=smoke", "logger=none", "dataset=digits32", "model=mlp", "model.hidden=16", "trials=2")


def carry_out(path: Path, *overrides: str) -> Record:
    return run(compose(*CELL, f"paths.runs={path}", *overrides))


def test_an_update_that_has_exploded_is_a_labelled_failure(tmp_path: Path) -> None:
    record = carry_out(tmp_path, "fl=fedavg", "fl.lr=1e30", "attack=ig", "attack.labels.passes=2",
                       "labels@attack.labels=llg_star")  # fmt: skip
    assert record.rows
    assert {row["status"] for row in record.rows} == {"failed"}
    assert all(row["mse"] is None and row["label_inferred"] is None for row in record.rows)
    assert all(row["label"] is not None for row in record.rows)


def test_fewer_dummies_than_images_give_a_row_for_each_dummy(tmp_path: Path) -> None:
    record = carry_out(tmp_path, "fl=fedavg", "fl.dummies=2", "attack=ig", "labels@attack.labels=llg_star",
                       "attack.labels.passes=2")  # fmt: skip
    assert len(record.rows) == 2
    assert len({row["target"] for row in record.rows}) == 2
    assert Store(tmp_path).images(record.id)["truth"].shape[0] == 2
