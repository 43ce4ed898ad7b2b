"""Scores that come later fill what was missing, and nothing else."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.commands.rescore import main as rescore
from harness.commands.verify import main as verify
from harness.config.composition import compose
from harness.metrics import lpips
from harness.runs.run import run as carry_out
from harness.store.records import Store, summarise
from tests.damage import unseal
from tests.metrics.test_lpips import _fresh as _fresh
from tests.metrics.test_lpips import stand_in as stand_in
from tests.metrics.test_lpips import trunks as trunks

LACKED = {"lpips_alex", "lpips_squeeze"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two updates with two images each, which found no LPIPS weights; and one that infers labels alone."""
    folder = tmp_path_factory.mktemp("finished")
    quick = ("dataset=digits32", "logger=none", "attack.steps=2", "trials=2", f"paths.runs={folder / 'runs'}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(folder))
        carry_out(compose(*quick, "attack=labels"))
        return folder / "runs" / carry_out(compose(*quick, "attack=dlg", "fl.batch_size=2")).id


@pytest.fixture
def run(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run, for a user whose weights are in `home`."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    shutil.copytree(finished.parent, tmp_path / "runs")
    return tmp_path / "runs" / finished.name


@pytest.fixture
def weights(stand_in: Path, run: Path) -> None:
    """The weights of two of the three trunks come."""
    (run.parents[1] / "home" / "hub").mkdir(parents=True)
    (run.parents[1] / "home" / "hub" / "checkpoints").symlink_to(stand_in)
    lpips._load.cache_clear()


def rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "rows.jsonl").read_text().splitlines()]


def alter(run: Path, place: int, **changes: object) -> None:
    """Write other values to a row."""
    lines = rows(run)
    lines[place] |= changes
    (run / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    unseal(run)


def test_without_weights_nothing_is_touched(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert rescore([str(run)]) == 0
    assert "nothing to fill in" in capfd.readouterr().out
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_what_was_missing_is_filled_in_and_nothing_else(
    run: Path, weights: None, capfd: pytest.CaptureFixture[str]
) -> None:
    before, origin = rows(run), json.loads((run / "result.json").read_text())["provenance"]
    assert rescore([str(run)]) == 0
    assert capfd.readouterr().out == f"{run}: filled in lpips_alex, lpips_squeeze\n"
    for old, new in zip(before, rows(run), strict=True):
        assert {name for name in old if old[name] != new[name]} == LACKED
        assert list(old) == list(new)
        assert all(new[name] > 0 for name in LACKED)
        assert new["lpips_vgg"] is None
    record = Store(run.parent).load(run.name)
    assert record is not None
    assert record.summary == summarise(record.rows)
    assert record.summary["lpips_alex"]["n"] == 4
    (note,) = record.provenance.pop("rescored")
    assert (note["columns"], note["versions"]) == (sorted(LACKED), origin["versions"])
    assert record.provenance == origin

    assert rescore([str(run)]) == 0
    assert "nothing to fill in" in capfd.readouterr().out
    assert verify([str(run)]) == 0, "a run that has the weights measures the same"
    assert f"{run}: bit-identical" in capfd.readouterr().out


def test_a_measured_number_stays_and_is_reported(
    run: Path, weights: None, capfd: pytest.CaptureFixture[str]
) -> None:
    alter(run, 1, psnr_unit=99.0)
    assert rescore([str(run)]) == 1
    assert "DIFFERS, and was left as it was measured: psnr_unit" in capfd.readouterr().out
    assert rows(run)[1]["psnr_unit"] == 99.0
    assert rows(run)[1]["lpips_alex"] is not None


def test_a_failed_attack_stays_without_scores(run: Path, weights: None) -> None:
    for place in (2, 3):
        alter(run, place, status="failed", mse=None)
    assert rescore([str(run)]) == 0
    assert [row["mse"] is None for row in rows(run)] == [False, False, True, True]
    assert [row["lpips_alex"] is None for row in rows(run)] == [False, False, True, True]


def test_what_needs_the_network_is_left_out(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    alter(run, 0, mse_r=None)
    assert rescore([str(run)]) == 0
    assert f"{run}: mse_r is left out: it needs the attacked network" in capfd.readouterr().out
    assert rows(run)[0]["mse_r"] is None


def test_a_kill_between_the_two_files_is_mended_by_the_same_command(
    run: Path, weights: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.commands import rescore as module

    write, lacking = module.write_atomically, rows(run)  # type: ignore[attr-defined]

    def dies(path: Path, content: bytes) -> None:
        if path.name == "rows.jsonl":
            raise KeyboardInterrupt
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_atomically", dies)
        assert rescore([str(run)]) == 130
    assert rows(run) == lacking
    assert rescore([str(run)]) == 0
    record = Store(run.parent).load(run.name)
    assert record is not None
    assert record.summary == summarise(rows(run))
    assert all(row["lpips_alex"] for row in rows(run))


def test_no_such_run_and_no_images(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert rescore([str(run.with_name("nothing"))]) == 2
    assert "is no finished run" in capfd.readouterr().err
    (labels,) = [path for path in run.parent.iterdir() if path != run and (path / "result.json").exists()]
    assert rescore([str(labels)]) == 2
    assert "has no images to score" in capfd.readouterr().err
