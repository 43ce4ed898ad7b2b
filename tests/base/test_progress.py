"""Progress: lines without a terminal, one display with one, silence in a worker."""

import io
import multiprocessing
import sys

import pytest

from harness.base.progress import task


def test_without_a_terminal_every_step_can_be_a_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with task("table3", 20, done=2, every=0) as bar:
        bar.advance("GGL x Clipping  PSNR 9.1")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("[ 3/20]  table3  GGL x Clipping  PSNR 9.1  0 s")


def test_fast_steps_are_told_once_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with task("cell", 4) as bar:
        for _ in range(4):
            bar.advance()
    assert capsys.readouterr().err.splitlines() == ["[4/4]  cell  0 s"]


def test_a_nested_task_that_is_fast_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with task("table3", 1, every=0) as outer:
        with task("cell", 1) as inner:
            inner.advance()
        outer.advance("DLG")
    assert [line.split()[1:3] for line in capsys.readouterr().err.splitlines()] == [["table3", "DLG"]]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nested_tasks_share_one_display(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with task("table3", 2) as outer:
        with task("GGL x [bold]", 3) as inner:  # names are not markup
            inner.advance("PSNR 9.1")
        outer.advance("GGL")
        with task("second cell", 3) as inner:
            inner.advance()
    shown = screen.getvalue()
    assert "table3" in shown
    assert "GGL x [bold]" in shown


def _work() -> None:
    with task("cell", 1, every=0) as bar:
        bar.advance("done")
    sys.stderr.flush()


def test_a_worker_process_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    process = multiprocessing.get_context("fork").Process(target=_work)
    process.start()
    process.join()
    assert process.exitcode == 0
    assert capfd.readouterr().err == ""


def test_a_joblib_worker_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    joblib = pytest.importorskip("joblib")
    joblib.Parallel(n_jobs=2, backend="loky")(joblib.delayed(_work)() for _ in range(2))
    assert "cell" not in capfd.readouterr().err
