"""Ctrl-C: what runs stops after its image, and the same command goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness.store.recording import Run
from tests.command import ONE, Main, measured_rows, write_table
from tests.command import main as main
from tests.commands.test_main import clean_environment


def interrupt(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """SIGINT to this process, when it has stored its first image."""
    append, sent = Run.append, []  # type: ignore[var-annotated]

    def then_interrupt(self: Run, *arguments: Any, **named: Any) -> None:
        append(self, *arguments, **named)
        if not sent:
            sent.append(True)
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Run, "append", then_interrupt)


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupted_run_stops_after_its_image_and_goes_on(
    times: int,
    main: Main,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        interrupt(patch, times)
        assert main(*ONE) == 130
    out, err = capfd.readouterr()
    assert out == ""
    assert "stopping after the current image; Ctrl-C again stops at once" in err
    assert err.splitlines()[-1] == "harness: interrupted: the same command goes on where this one stopped"
    assert "Traceback" not in err
    first = measured_rows(tmp_path)
    assert [row["problem"] for row in first] == [0]
    assert signal.getsignal(signal.SIGINT) is before
    assert main(*ONE) == 0
    assert measured_rows(tmp_path)[:1] == first
    assert len(measured_rows(tmp_path)) == 3


def test_a_run_that_is_interrupted_at_its_last_image_is_said_to_be_complete(
    main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    interrupt(monkeypatch, 1)
    assert main(*ONE, "trials=1") == 130
    out, err = capfd.readouterr()
    assert err.splitlines()[-1] == "harness: interrupted, when all was done: it is complete"
    assert (tmp_path / out.strip() / "result.json").exists()


def test_an_interrupted_table_begins_no_other_cell(
    main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write_table(tmp_path, "toy")
    with monkeypatch.context() as patch:
        interrupt(patch, 1)
        assert main("table=toy") == 130
    assert len(measured_rows(tmp_path)) == 1
    assert capfd.readouterr().out == ""
    assert main("table=toy") == 0
    assert len(measured_rows(tmp_path)) == 2


@pytest.mark.slow
def test_interrupted_workers_stop_each_after_its_image(tmp_path: Path) -> None:
    """The terminal sends SIGINT to all processes of the group."""
    (tmp_path / "own").mkdir()
    write_table(
        tmp_path,
        "toy",
        base=[*ONE, "trials=150", "attack.steps=200"],
        rows={"First": [], "Second": ["seed=1"]},
    )
    command = [sys.executable, "-m", "harness", "--config-dir", "own", "table=toy"]
    command += ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=clean_environment(),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while process.poll() is None and len(measured_rows(tmp_path)) < 2:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("harness: interrupted")
    for path in tmp_path.glob("runs/*/rows.jsonl"):
        assert path.read_bytes().endswith(b"\n")
