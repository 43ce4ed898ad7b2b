"""Progress: lines without a terminal, one display with one, silence in a worker."""

import io
import multiprocessing
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.base import progress
from harness.base.clock import clock, left
from harness.base.display import BAR
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


def test_what_is_under_way_inside_counts_for_the_task_around_it() -> None:
    with task("multirun", 2, worth=1.0), task("cell", 4, worth=0.25) as inner:
        assert progress.inside() == 0
        inner.begin(2.0)
        assert progress.inside() == 0.5, "two of four images"
        inner.advance(shares=1.0)
        assert progress.inside() == 0.25, "what is finished the store says"
    assert progress.inside() == 0


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


def test_what_is_under_way_moves_the_bar_and_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first of four steps is finished: after 2 s, half of one is an eighth of all."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with task("cell", 4) as bar:
        display = progress._open[0]
        display.tasks[0].start_time = display.get_time() - 2
        bar.begin(0.5, "loss 0.3")
        display.refresh()
    assert "0/4" in screen.getvalue()
    assert "14 s left" in screen.getvalue()
    assert "loss 0.3" in screen.getvalue()


def test_words_give_way_to_the_bar_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    with task("table3 on digits32 at scale small", 36) as outer, task("ggl x sparsification x utkface", 8):
        outer.advance("GGL x Sparsification, seed 1  PSNR 9.1 dB, LPIPS (VGG) 0.512")
        screen.truncate(0)
        progress._open[0].refresh()
    for line in [line for line in screen.getvalue().splitlines() if "/" in line]:
        bare = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line).strip("\r")
        assert len(bare) <= 80
        assert "━" * BAR in bare.replace("╸", "━").replace("╺", "━")
        assert re.search(r"\d/\d", bare)


def test_lines_on_a_long_search_become_rare(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Within one step of a day, told of every second: some hundred lines, not 8,640."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    day = 24 * 3600
    with task("cell", 1) as bar:
        for second in range(1, day):
            now[0] = float(second)
            bar.begin(second / day, "loss 0.1")
    lines = capsys.readouterr().err.splitlines()
    assert 20 < len(lines) < 200
    assert lines[0] == "[0/1]  cell  loss 0.1  10 s"
    assert lines[len(lines) // 2] == "[0/1]  cell  loss 0.1  43:57 min, about 23:16 h left"


def test_nothing_is_promised_while_the_work_begins() -> None:
    assert left(20.0, 0.005, 9) is None
    assert left(20.0, 0.09, 9) == pytest.approx(20 * 99)


@given(spent=st.floats(1e-3, 1e6), share=st.floats(0.25, 1), noise=st.floats(0.67, 1.5))
def test_the_time_left_is_right_within_a_factor_of_two(spent: float, share: float, noise: float) -> None:
    """Where what is left goes as fast as what is done, give or take half."""
    told = left(spent, share * 8, 8)
    assert told is not None
    truth = spent / share * (1 - share) * noise
    assert told / 2 <= truth + 1e-9
    assert truth / 2 <= told + 1e-9


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (99, "99 s"), (100, "1:40 min"), (3599.4, "59:59 min"), (7800, "2:10 h")],
)
def test_times_are_told_as_people_read_them(seconds: float, words: str) -> None:
    assert clock(seconds) == words
