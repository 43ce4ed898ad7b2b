"""Two stores that overlap become one: nothing is lost, and what both have is there once."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from harness.commands.merge import main
from harness.commands.publish import without_paths
from harness.store.published import ARCHIVE, light, pack
from harness.store.records import Store, summarise

CONFIG = {"attack": {"_target_": "harness.attacks.dlg.DLG"}, "choices": {"attack": "dlg"}, "seed": 0}
A, B, C, D = (letter * 12 for letter in "abcd")


def finish(root: Path, identity: str, problems: int) -> None:
    """A run with two images for each of its problems."""
    run = Store(root).open(identity, CONFIG, answered=lambda: False)
    for problem in range(len(run.finished), problems):
        x = torch.full((2, 1, 4, 4), problem / 10)
        rows = [{"target": 2 * problem + k, "psnr_unit": 9.5 + k, "status": "budget"} for k in range(2)]
        run.append(problem, rows, {"truth": x, "reconstruction": x + 0.01}, [{"evaluation": 0, "loss": 1.0}])
    run.finish(summarise(run.rows), {"git": "0123"})
    run.close()


def held(root: Path) -> dict[str, int]:
    return {record.id: len(record.rows) for record in Store(root).records()}


def archive(root: Path, path: Path, identities: Sequence[str]) -> Path:
    pack({identity: light(root / identity, without_paths) for identity in identities}, path)
    return path


def test_two_stores_that_overlap_become_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for root, counts in ((ours, {A: 2, B: 1, C: 3}), (theirs, {A: 2, B: 3, C: 1, D: 1})):
        for identity, count in counts.items():
            finish(root, identity, count)
    (ours / D / "parts").mkdir(parents=True)  # begun here, finished there
    same = (ours / A / "result.json").stat().st_mtime_ns
    assert main([str(theirs), f"--runs={ours}"]) == 0
    assert held(ours) == {A: 4, B: 6, C: 6, D: 2}
    assert (ours / A / "result.json").stat().st_mtime_ns == same
    assert Store(ours).images(B)["truth"].shape == (6, 1, 4, 4)
    assert not [*ours.glob("*/.lease-*"), *ours.glob("*/parts")]
    out = capsys.readouterr().out
    assert out == f"{ours}: 2 here already, 1 replaced by theirs, which have more, 1 copied\n"
    assert main([str(theirs), f"--runs={ours}"]) == 0
    assert capsys.readouterr().out == f"{ours}: 4 here already\n"


def test_pictures_are_never_given_up_for_targets_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    finish(ours, A, 1)
    for identity in (A, B):
        finish(theirs, identity, 2)
    packed = archive(theirs, tmp_path / ARCHIVE, [A, B])
    assert main([str(packed), f"--runs={ours}"]) == 0
    assert held(ours) == {A: 2, B: 4}
    assert f"{A}: left: theirs has 2 targets without pictures, ours 1 with them" in capsys.readouterr().out
    assert Store(ours).images(B)["truth"].isnan().all()
    assert main([str(theirs), f"--runs={ours}"]) == 0
    assert not Store(ours).images(B)["truth"].isnan().any(), "the same run, with its pictures"


def test_a_damaged_run_stops_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for identity in (A, B):
        finish(theirs, identity, 1)
    (theirs / A / "rows.jsonl").write_text("{}")
    assert main([str(theirs), f"--runs={ours}"]) == 0
    assert held(ours) == {B: 2}
    assert f"{A}: left: {theirs / A} is damaged" in capsys.readouterr().out


def test_what_is_no_store_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ARCHIVE).write_bytes(b"no archive")
    for name in ("nothing", ARCHIVE):
        assert main([str(tmp_path / name), f"--runs={tmp_path / 'ours'}"]) == 2
    err = capsys.readouterr().err
    assert "no finished runs in" in err
    assert "runs.tar.xz can't be read" in err
