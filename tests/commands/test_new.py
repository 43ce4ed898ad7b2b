"""A package that `harness new` begins runs, is found by its name alone, and passes its own tests."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.commands import new
from harness.commands.new import KINDS, create
from tests.command import Main
from tests.command import main as main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[str]]]:
    """One package of each kind, as if installed, and the commands that each says come next."""
    found = {}
    for kind in KINDS:
        found[kind] = create(kind, f"new_{kind}", tmp_path)
        monkeypatch.syspath_prepend(tmp_path / f"new_{kind}")
    monkeypatch.setenv("HARNESS_PLUGINS", " ".join(f"new_{kind}:plugin" for kind in KINDS))
    yield found
    for name in [name for name in sys.modules if name.partition(".")[0] in {f"new_{kind}" for kind in KINDS}]:
        del sys.modules[name]


def test_each_runs_by_the_command_that_is_printed(
    packages: dict[str, list[str]], main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, commands in packages.items():
        word, *arguments = shlex.split(commands[2])
        assert word == "harness"
        if kind not in ("dataset", "defense"):  # two more whole tables
            assert main(*arguments, "logger=none") == 0, capsys.readouterr().err
    table = (tmp_path / "results" / "table3" / "digits32-smoke" / "table.md").read_text()
    assert "| Mine |" in table
    assert (
        main(
            "attack=dlg",
            "defense=new_defense",
            "dataset=new_dataset",
            "trials=1",
            "scale=smoke",
            "logger=none",
        )
        == 0
    )
    assert main("attack=new_atack", "logger=none") == 2
    assert "did you mean 'new_attack'?" in capsys.readouterr().err


def test_each_passes_its_own_tests(packages: dict[str, list[str]], tmp_path: Path) -> None:
    path = [str(tmp_path / f"new_{kind}") for kind in packages] + [str(ROOT)]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            *(f"new_{kind}/tests" for kind in packages),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout
    assert "6 passed" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["atack", "mine"], "did you mean 'attack'?"),
        (["attack", "Mine"], "small letters"),
        (["attack", "class"], "small letters"),
        (["attack", "ig"], "attack=ig is there already"),
        (["attack", "json"], "Python knows a module of that name"),
        (["attack", "../mine"], "small letters"),
    ],
)
def test_a_wrong_name_writes_nothing(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert new.main([*arguments, "--folder", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]
    create("attack", "begun_twice", tmp_path)
    assert new.main(["attack", "begun_twice", "--folder", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("rows.Mine=[attack=ig]", "say table=NAME too"),
        ("columns.Mine=defense=none", "say columns.Mine=["),
        ("rows.=[attack=ig]", "say rows.Mine=["),
        ("rows=IG", "or rows=[A,B] for some of them alone"),
        ("columns=[Clipping]", "say table=NAME too"),
    ],
)
def test_a_row_that_can_not_be_added_is_one_line(
    argument: str, said: str, main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    table = [] if "say table" in said else ["table=table3"]
    assert main(argument, *table) == 2
    assert said in capsys.readouterr().err
