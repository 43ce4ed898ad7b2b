"""One run from end to end: what its rows say when all goes well, and when nothing does."""

import multiprocessing
import signal
import time
from pathlib import Path

import pytest
import torch

from harness.commands.publish import without_paths
from harness.config.composition import compose
from harness.core import Record
from harness.runs.run import run
from harness.store.published import light, put
from harness.store.records import Store

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


DEEP = ("logger=none", "dataset=digits32", "trials=6", "attack.slots=3")
ATTACKS = {
    "lowrank": ("attack=idlg", "attack.steps=20", "attack.tolerance=1e-3"),
    "vmap": ("attack=ig", "attack.steps=30", "attack.restarts=2", "model=lenet"),
}


@pytest.mark.parametrize(
    ("engine", "start"), [("lowrank", "random"), ("lowrank", "feedback"), ("vmap", "random")]
)
def test_a_killed_engine_goes_on_to_what_it_would_have_found(engine: str, start: str, tmp_path: Path) -> None:
    """SIGKILL while problems are in their slots: the same images are recovered, to the last bit."""
    deep = (*DEEP, *ATTACKS[engine], f"start={start}")
    killed, whole = (compose(*deep, f"paths.runs={tmp_path / name}") for name in ("killed", "whole"))
    journal = tmp_path / "killed" / killed.id / "rows.jsonl"
    process = multiprocessing.get_context("fork").Process(target=run, args=[killed])
    process.start()
    while process.is_alive() and not (journal.exists() and journal.stat().st_size):
        time.sleep(0.002)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert 0 < len(journal.read_bytes().splitlines()) < 6
    found, expected = run(killed), run(whole)
    assert timeless(found) == timeless(expected)
    images = [Store(tmp_path / name).images(killed.id)["reconstruction"] for name in ("killed", "whole")]
    assert torch.equal(*images)
    if engine == "lowrank":
        assert sum(row["converged"] for row in expected.rows) > 3


def test_a_sequence_that_was_handed_on_without_pictures_begins_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its later searches begin at what the earlier ones found."""
    deep = (*DEEP, *ATTACKS["lowrank"], "start=feedback")
    short = compose(*deep, f"paths.runs={tmp_path / 'short'}", "trials=4")
    long, whole = (compose(*deep, f"paths.runs={tmp_path / name}") for name in ("long", "whole"))
    run(short)
    put(tmp_path / "long" / long.id, light(tmp_path / "short" / short.id, without_paths))
    capsys.readouterr()
    assert timeless(run(long)) == timeless(run(whole))
    assert "whose pictures were not published: computed anew" in capsys.readouterr().err
    assert not Store(tmp_path / "long").images(long.id)["truth"].isnan().any()


def timeless(record: Record) -> list[dict[str, object]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in record.rows]
