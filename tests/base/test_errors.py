"""What libraries raise, in one or two lines."""

import multiprocessing

import pytest

from harness.base import errors


def test_a_warning_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    errors.warn("mind this")
    assert capsys.readouterr() == ("", "warning: mind this\n")


def test_a_name_stands_in_one_line() -> None:
    assert errors.printable("fl.\x1b[31m\n\x1e") == "fl.\\x1b[31m\\n\\x1e"
    assert errors.printable("é" * 100) == "é" * 77 + "..."


def test_a_worker_leaves_it_to_its_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        errors.warn_once("no weights, a test says")
    monkeypatch.setattr(multiprocessing.current_process(), "_name", "LokyProcess-1")
    errors.warn_once("no data, a test says")
    assert capsys.readouterr().err == "warning: no weights, a test says\n"
