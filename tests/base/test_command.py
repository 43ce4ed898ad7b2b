"""How small command lines end."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness.base.command import answered
from harness.base.errors import UserError
from harness.commands.main import guarded


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
    code = "import sys\nfrom harness.base.command import answered\n"
    code += "sys.exit(answered(lambda: print('many words ' * 100_000)))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 0


def test_what_nobody_foresaw_is_two_lines_and_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("MY_TOKEN", "secret-secret")

    def broken() -> None:
        raise KeyError("of secret-secret\n" + "x" * 1000)

    for boundary in (answered, guarded):
        assert boundary(broken) == 1
        first, second = capsys.readouterr().err.splitlines()
        assert first.startswith("harness: an error of the harness's own, KeyError: ")
        assert len(first) < 250
        path = Path(second.partition(", with ")[2].partition(";")[0])
        assert "in broken" in path.read_text()
        assert "secret-secret" not in path.read_text() + first


def test_an_error_in_a_package_of_the_users_own_is_told_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("HARNESS_PLUGINS", "of_mine")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "of_mine.py").write_text("def call(function):\n    return function(None) / 0\n")
    import of_mine  # type: ignore[import-not-found]

    for function, line, error in ((lambda _: 1, 2, ZeroDivisionError), (len, 2, TypeError)):
        assert answered(lambda function=function: of_mine.call(function)) == 2  # type: ignore[misc]
        first, place, code, last = capsys.readouterr().err.splitlines()
        assert first.startswith(f"harness: {error.__name__}: ")
        assert place == f"  {tmp_path / 'of_mine.py'}:{line}, in call"
        assert code == "    return function(None) / 0"
        log = Path(last.partition("all of it is in ")[2].partition(";")[0])
        assert f"{error.__name__}: " in log.read_text()


def test_a_reader_of_the_help_may_stop() -> None:
    command = f"{sys.executable} -m harness --help | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Gradient")
    assert done.stderr == ""
