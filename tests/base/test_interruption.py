"""Ctrl-C: the first press is a request, the second stops at once."""

import os
import signal
from pathlib import Path

import pytest

from harness.base import interruption


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_the_second_ctrl_c_stops_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    with interruption.listening():
        assert not interruption.requested()
        press()
        assert interruption.requested()
        with pytest.raises(KeyboardInterrupt):
            press()
    assert not interruption.requested()
    assert capfd.readouterr().err == interruption.NEWS.decode()


def test_one_ctrl_c_that_reaches_several_ranks_is_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with interruption.listening(), interruption.reaching(tmp_path / "stop"):
        (tmp_path / "stop").touch()  # another rank was faster
        press()
        assert interruption.requested()
    assert capfd.readouterr().err == interruption.NEWS.decode()


def test_what_was_asked_before_reaches_the_others(tmp_path: Path) -> None:
    with interruption.listening():
        press()
        with interruption.reaching(tmp_path / "stop"):
            assert (tmp_path / "stop").exists()
        assert interruption.requested()
