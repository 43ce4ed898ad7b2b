"""An attack on labels alone: one row per update, counts in the place of images, and no picture."""

from pathlib import Path

import torch

from harness.config.composition import compose
from harness.core import Record
from harness.runs.run import run
from harness.store.records import Store
from harness.tables.caption import unit
from harness.tables.layout import Cell
from harness.tables.measurement import Outcome

CELL = ("attack=labels", "logger=none", "dataset=digits32", "model=mlp", "model.hidden=16", "trials=3")


def carry_out(path: Path, *overrides: str) -> Record:
    return run(compose(*CELL, f"paths.runs={path}", *overrides))


def test_an_update_is_one_row_and_its_counts_are_stored(tmp_path: Path) -> None:
    record = carry_out(tmp_path, "fl.batch_size=8")
    assert [row["problem"] for row in record.rows] == [0, 1, 2]
    assert all(len(row["targets"]) == row["examples"] == 8 for row in record.rows)
    assert not any("psnr_unit" in row or "label_correct" in row for row in record.rows)
    assert {row["status"] for row in record.rows} == {"converged"}
    stored = Store(tmp_path).images(record.id)
    assert stored["truth"].shape == stored["reconstruction"].shape == (3, 10)
    assert stored["truth"].sum(1).tolist() == stored["reconstruction"].sum(1).tolist() == [8, 8, 8]
    for row, truth, found in zip(record.rows, stored["truth"], stored["reconstruction"], strict=True):
        assert row["count_accuracy"] == float((truth == found).double().mean())
    assert record.summary["label_accuracy"]["n"] == 3
    assert not (tmp_path / record.id / "gallery.png").exists()


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    whole = carry_out(tmp_path / "one")
    experiment = compose(*CELL, f"paths.runs={tmp_path / 'two'}")
    store = Store(tmp_path / "two")
    open_run = store.open(experiment.id, experiment.config)
    first = {key: value for key, value in whole.rows[0].items() if key not in ("problem", "image")}
    counts = Store(tmp_path / "one").images(whole.id)
    open_run.append(0, [first], {name: each[:1] for name, each in counts.items()}, [])
    open_run.close()
    again = run(experiment)
    assert [row["label_accuracy"] for row in again.rows] == [row["label_accuracy"] for row in whole.rows]


def test_one_dummy_is_scored_against_all_that_the_client_holds(tmp_path: Path) -> None:
    record = carry_out(tmp_path, "fl=fedavg", "fl.dummies=1", "labels@attack.labels=idlg")
    counts = Store(tmp_path).images(record.id)["reconstruction"]
    assert torch.equal(counts.max(1).values, torch.full((3,), 8.0))
    assert all(row["label_accuracy"] < 1 for row in record.rows)


def test_a_rule_that_fails_is_a_row_without_scores(tmp_path: Path) -> None:
    record = carry_out(tmp_path, "fl=fedavg", "fl.lr=1e30")
    assert {row["status"] for row in record.rows} == {"failed"}
    assert all(row["class_accuracy"] is None and row["label_accuracy"] is None for row in record.rows)
    assert record.summary["status"] == {"failed": 3}


def test_a_table_speaks_of_updates(tmp_path: Path) -> None:
    record = carry_out(tmp_path)
    cell = Cell("A", "X", 0, ())
    assert unit([Outcome(cell, record.id, record.config, record)]) == "update"
    assert unit([Outcome(cell, record.id, record.config)]) == "image"
