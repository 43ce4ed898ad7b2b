"""Runs that are handed on without their pictures: small, the same every time, and whole but for what they say lacks."""

import io
import tarfile
from pathlib import Path

import pytest
import torch

from harness.commands.publish import without_paths
from harness.core import UserError
from harness.store.published import absent, light, pack, put, unpack
from harness.store.records import Store, summarise

RUN = "0123456789ab"
CONFIG = {"attack": {"_target_": "harness.attacks.dlg.DLG"}, "choices": {"attack": "dlg"}, "seed": 0}


def go_on(root: Path, problems: int) -> None:
    run = Store(root).open(RUN, CONFIG, answered=lambda: False)
    for problem in range(len(run.finished), problems):
        x = torch.full((2, 1, 4, 4), problem / 10)
        rows = [{"target": 2 * problem + k, "psnr_unit": 9.5 + k, "status": "budget"} for k in range(2)]
        images = {"truth": x, "reconstruction": x + 0.01, "reconstruction_last": x + 0.02}
        run.append(problem, rows, images, [{"evaluation": 0, "loss": 1.0}])
    run.finish(summarise(run.rows), {"git": "0123", "started": "/home/somebody/x"})
    run.close()


@pytest.fixture
def handed(tmp_path: Path) -> Path:
    """A store with one run that was handed on."""
    go_on(tmp_path / "before", 2)
    pack({RUN: light(tmp_path / "before" / RUN, without_paths)}, tmp_path / "runs.tar.xz")
    (files,) = unpack(tmp_path / "runs.tar.xz").values()
    put(tmp_path / "after" / RUN, files)
    return tmp_path / "after"


def test_all_but_the_pictures_is_handed_on(handed: Path) -> None:
    before, after = (Store(root).load(RUN) for root in (handed.parent / "before", handed))
    assert before is not None
    assert after is not None
    assert (after.rows, after.summary, after.config) == (before.rows, before.summary, before.config)
    assert after.provenance == {"git": "0123", "started": "PATH"}
    images = Store(handed).images(RUN)
    assert {name: tensor.shape for name, tensor in images.items()} == {
        name: tensor.shape for name, tensor in Store(handed.parent / "before").images(RUN).items()
    }
    assert all(absent(tensor) for tensor in images.values())
    assert Store(handed).traces(RUN) == {0: [], 1: []}


def test_a_run_that_was_handed_on_can_be_handed_on_and_gone_on_with(handed: Path, tmp_path: Path) -> None:
    pack({RUN: light(handed / RUN, without_paths)}, tmp_path / "again.tar.xz")
    assert (tmp_path / "again.tar.xz").read_bytes() == (tmp_path / "runs.tar.xz").read_bytes()
    go_on(handed, 3)
    record, images = Store(handed).load(RUN), Store(handed).images(RUN)
    assert record is not None
    assert [row["target"] for row in record.rows] == [0, 1, 2, 3, 4, 5]
    assert images["truth"].shape == (6, 1, 4, 4)
    assert images["truth"][:4].isnan().all()
    assert not images["truth"][4:].isnan().any()
    assert [len(trace) for trace in Store(handed).traces(RUN).values()] == [0, 0, 1]


def test_an_archive_holds_files_of_runs_alone(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "runs.tar.xz", "w:xz") as archive:
        archive.addfile(tarfile.TarInfo("../outside"), io.BytesIO())
    with pytest.raises(UserError, match="no file of a run"):
        unpack(tmp_path / "runs.tar.xz")
