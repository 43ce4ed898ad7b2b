"""What one run or cell fails of stops no other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import ONE, Main, write_table
from tests.command import main as main
from tests.commands.test_main import clean_environment


@pytest.mark.parametrize("place", ["runs", "results"])
def test_a_place_that_cannot_be_written_is_said_before_anything_is_computed(
    place: str, main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from harness.core import Attack

    monkeypatch.setattr(Attack, "__call__", lambda *_: pytest.fail("an attack began"))
    (tmp_path / "file").touch()
    write_table(tmp_path, "toy")
    for arguments in [("table=toy",), *([ONE] if place == "runs" else [])]:
        assert main(*arguments, f"paths.{place}=file/below") == 2
        out, err = capfd.readouterr()
        lines = [line for line in err.splitlines() if not line.startswith("warning: LPIPS")]
        assert len(lines) == 1, err
        assert "file/below" in lines[0]
        assert f"paths.{place}=FOLDER" in lines[0]
        assert out == ""


MONSTER = ["model=resnet18", "model.width=65536"]
"""13 TB of weights, which are counted, for a system may promise them."""


def test_a_run_without_memory_says_so(main: Main, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(*ONE, *MONSTER) == 1
    err = capfd.readouterr().err
    assert "Traceback" not in err
    assert "harness: out of memory: lower attack.slots" in err


def test_a_cell_without_memory_stops_no_other(
    main: Main, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_table(tmp_path, "toy", rows={"Monster": MONSTER, "Mouse": []})
    assert main("table=toy") == 1
    out, err = capfd.readouterr()
    assert "Monster x None, seed 0: no result (out of memory: lower attack.slots" in out
    assert "1 of 2 cells have no result" in err
    assert len(list(tmp_path.glob("runs/*/result.json"))) == 1


KILLER = """
import os
import signal

from harness.attacks.dlg import DLG
from harness.core import component


@component
class Killer(DLG):
    def run(self, attempts):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_worker_that_the_system_kills_stops_no_other(tmp_path: Path) -> None:
    """As the kernel does where memory runs out. The killer is an attack from a package of the user's own."""
    (tmp_path / "own" / "attack").mkdir(parents=True)
    (tmp_path / "deadly.py").write_text(KILLER)
    settings = (Path(__file__).parents[2] / "conf" / "attack" / "dlg.yaml").read_text()
    (tmp_path / "own" / "attack" / "killer.yaml").write_text(
        settings.replace("harness.attacks.dlg.DLG", "deadly.Killer")
    )
    write_table(
        tmp_path,
        "toy",
        base=["model=lenet", "trials=1", "logger=none"],
        rows={"One": ["attack=dlg", "attack.steps=2"], "Killer": ["attack=killer"], "Two": ["attack=idlg"]},
    )
    environment = clean_environment() | {"HARNESS_PLUGINS": "deadly"}
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "harness", "--config-dir", "own", "table=toy"]
    command += ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert (
        "Killer x None, seed 0: no result (its worker was killed, perhaps for want of memory" in done.stdout
    )
    assert "1 of 3 cells have no result" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(list(tmp_path.glob("runs/*/result.json"))) == 2


def test_a_damaged_run_stops_no_table(main: Main, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its numbers are left out, or where only its pictures are damaged its part of the gallery is grey."""
    write_table(tmp_path, "toy")
    assert main("table=toy") == 0
    one, other = sorted(tmp_path.glob("runs/*/"))
    for folder, name in ((one, "reconstructions.safetensors"), (other, "rows.jsonl")):
        content = bytearray((folder / name).read_bytes())
        content[-9] ^= 1
        (folder / name).write_bytes(content)
    capfd.readouterr()
    assert main("table=toy") == 1
    out, err = capfd.readouterr()
    assert f"{one.name} is damaged (reconstructions.safetensors, it is not as it was stored)" in err
    assert f"{other.name} is damaged (rows.jsonl, it is not as it was stored)" in out + err
    assert "1 of 2 cells have no result" in err
    assert "Traceback" not in err
