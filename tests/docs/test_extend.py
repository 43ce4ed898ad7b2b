"""docs/extend.md: its example runs as printed, and each thing of its table is added from an outside package."""

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.commands import front
from harness.config.composition import compose
from tests.docs import outside

PAGE = (Path(__file__).parents[2] / "docs" / "extend.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """`python -m harness ...` in an empty folder that packages are imported from; returns the exit status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def command(package: str, *arguments: str) -> int:
        monkeypatch.setenv("HARNESS_PLUGINS", package)
        monkeypatch.setattr(sys, "argv", ["harness", *arguments])
        with pytest.raises(SystemExit) as done:
            front.main()
        return int(done.value.code or 0)

    yield command
    for name in [name for name in sys.modules if name.partition(".")[0] in ("outside", "my_attacks")]:
        del sys.modules[name]


def test_the_example_attack_runs_as_printed(run: Run, tmp_path: Path) -> None:
    for _, text in BLOCKS:
        if named := re.match(r"# (my_attacks/\S+)\n", text):
            path = tmp_path / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    (line,) = (line for _, text in BLOCKS for line in text.splitlines() if "attack=mine" in line)
    variable, *words = shlex.split(line)
    assert words[:3] == ["python", "-m", "harness"]
    assert run(variable.removeprefix("HARNESS_PLUGINS="), *words[3:], "scale=smoke", "logger=none") == 0
    assert len([*tmp_path.glob("runs/*/result.json")]) == 1


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The outside package, with its YAMLs."""
    folder = tmp_path / "outside"
    files = {f"conf/{group}/own.yaml": text for group, text in outside.GROUPS.items()}
    files |= {
        "parts.py": outside.PARTS,
        "conf/table/own.yaml": outside.TABLE,
        "conf/sweep/own.yaml": outside.SWEEP,
        "conf/tune/own.yaml": outside.TUNE,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_a_table_and_a_sweep_are_made_of_components_from_outside(
    run: Run, package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("outside", "--config-dir", "outside/conf")
    assert run(*given, "table=own", "dataset=own", "scale=smoke") == 0, capsys.readouterr().err
    table = tmp_path / "results" / "own" / "own-smoke"
    assert "| Grey | 0.5000 |" in (table / "table.md").read_text()
    assert (table / "dots.png").exists()
    assert run(*given, "sweep=own", "dataset=own", "scale=smoke") == 0, capsys.readouterr().err
    assert len([*tmp_path.glob("runs/*/result.json")]) == 1, "the sweep's one run is the table's"
    assert run(*given, "tune=own", "dataset=own", "scale=smoke") == 0, capsys.readouterr().err
    assert (
        "attack.optimizer.lr=" in (tmp_path / "results" / "tune-own" / "own-smoke" / "best.yaml").read_text()
    )
    assert (
        run(*given, "dataset=own", "model=own", "attack=dlg", "optimizer@attack.optimizer=own", "start=own",
            "adapter=own", "server=own", "checks=own", "scale=smoke", "logger=none") == 0
    )  # fmt: skip
    assert run(*given, "dataset=own", "model=own", "attack=ig", "labels@attack.labels=own", "scale=smoke",
               "logger=none") == 0  # fmt: skip


def test_all_that_the_page_names_is_added_here() -> None:
    rows = [line for line in PAGE.splitlines() if re.match(r"\| an? ", line)]
    groups = {group for row in rows for group in re.findall(r"`(?:conf|experiments)/(\w+)/NAME", row)}
    assert groups == {*outside.GROUPS, "table", "sweep", "tune"}
    assert "| a plot |" in PAGE
    assert "plots:" in outside.TABLE


def test_the_page_names_base_classes_that_are_there() -> None:
    import importlib

    for path in re.findall(r"`((?:core|attacks|models|checks|starts|servers|plots)[\w.]*\.[A-Z]\w+)`", PAGE):
        module, _, name = f"harness.{path}".rpartition(".")
        assert hasattr(importlib.import_module(module), name), path


def test_a_component_of_a_package_that_is_not_declared_is_refused() -> None:
    with pytest.raises(Exception, match="HARNESS_PLUGINS"):
        compose("attack._target_=outside.parts.Grey")
