"""How small command lines end."""

import subprocess
import sys

import pytest

from harness.command import answered
from harness.errors import UserError


def test_a_mistake_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    def mistaken() -> None:
        raise UserError("there is no such thing")

    assert answered(mistaken) == 2
    assert capsys.readouterr().err == "harness: there is no such thing\n"


def test_a_secret_in_a_mistake_is_not_repeated(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "abcdef0123456789")

    def mistaken() -> None:
        raise UserError("abcdef0123456789 is no number")

    assert answered(mistaken) == 2
    assert "abcdef0123456789" not in capsys.readouterr().err


def test_a_reader_may_stop() -> None:
    code = "import sys\nfrom harness.command import answered\n"
    code += "sys.exit(answered(lambda: print('many words ' * 100_000)))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 0
