"""The front door: which command is whose, and that asking for one imports no more than it needs."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.base.schema import CONF
from harness.commands.front import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_a_module_with_a_command_line(name: str) -> None:
    found = find_spec(COMMANDS[name].module)
    assert found is not None
    assert found.origin is not None
    text = Path(found.origin).read_text()
    assert re.search(r"^def main\(arguments: Sequence\[str\] \| None = None\) -> int:", text, re.MULTILINE)
    assert f'prog="harness {name}"' in text


def test_a_command_is_handed_its_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["query", "ssim > 1", "--runs", str(tmp_path)])
    assert done.value.code == 2
    assert "no finished runs" in capsys.readouterr().err


def test_a_misspelt_command_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["qeury"])
    assert done.value.code == 2
    assert capsys.readouterr().err == "harness: qeury: there is no such command; did you mean 'query'?\n"


def test_the_help_names_every_command() -> None:
    text = (CONF / "config.yaml").read_text()
    _, _, block = text.partition("python -m harness COMMAND --help\n")
    lines = block.partition("\n\n")[0].splitlines()
    assert lines == [f"        {name:10} {command.summary}" for name, command in COMMANDS.items()]


@pytest.mark.parametrize("arguments", [["--help"], ["query", "--help"], ["list", "tables"], ["--version"]])
def test_asking_what_there_is_imports_neither_torch_nor_pandas(arguments: list[str], tmp_path: Path) -> None:
    code = f"import sys; sys.argv = ['harness', *{arguments}]\nfrom harness.commands.front import main\n"
    code += "try: main()\nfinally: assert not {'torch', 'pandas'} & set(sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("harness rep", {"report"}),
        ("harness attack=dl", {"attack=dlg", "attack=dlf"}),
        ("harness attack=ig see", {"seed="}),
    ],
)  # fmt: skip
def test_a_shell_completes_commands_and_settings(
    line: str, offered: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setattr(sys, "argv", ["/somewhere/harness/__main__.py", "-sc", "query=bash"])
    with pytest.raises(SystemExit) as done:
        main()
    assert not done.value.code
    assert offered <= {*capsys.readouterr().out.split()}


def test_completion_is_for_the_command_whichever_way_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/harness/__main__.py", "-sc", "install=bash"])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().out.splitlines()[-1].endswith("hydra_bash_completion harness")


def test_a_shell_that_nobody_completes_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["harness", "-sc", "install=bush"])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 2
    assert capsys.readouterr().err.endswith("of bash, fish and zsh\n")
