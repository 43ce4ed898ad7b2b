"""The command line, carried out in the test's own process: fast, and open to what a test does to it."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.store.journal import decode

Main = Callable[..., int]
QUICK = ("logger=none", "dataset=digits32")
ONE = (*QUICK, "attack=ig", "attack.steps=2", "attack.slots=1", "trials=3")


@pytest.fixture
def main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Main:
    """`python -m harness ...` in an empty folder, without the user's data or keys; returns the exit status."""
    return command_line(tmp_path, monkeypatch)


def command_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Main:
    """The command, carried out in a folder, of whose `own` it knows the configurations."""
    from harness.commands import main as cli

    monkeypatch.chdir(folder)
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    (folder / "own").mkdir(exist_ok=True)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["harness", "--config-dir", "own", *arguments])
        with pytest.raises(SystemExit) as done:
            cli.main()
        return int(done.value.code or 0)

    return run


def write_table(folder: Path, name: str, **changes: object) -> None:
    """A small table of one's own, found by `--config-dir`."""
    node = {
        "name": name,
        "title": "A toy",
        "source": "Nobody, Nowhere, Table 0",
        "metrics": {"mse": {"title": "MSE", "higher_is_better": False}},
        "base": ["model=lenet", "trials=1", "logger=none", "attack=dlg", "attack.steps=1"],
        "rows": {"First": [], "Second": ["attack.steps=2"]},
        "columns": {"None": ["defense=none"]},
    }
    write_plan(folder / "own", "table", {**node, **changes})


def write_plan(folder: Path, kind: str, node: Mapping[str, object]) -> None:
    """A table, a sweep or a tuning of one's own, in a folder that --config-dir names."""
    (folder / kind).mkdir(parents=True, exist_ok=True)
    sweeper = {"table": "table", "sweep": "grid", "tune": "tune"}[kind]
    content = {
        "defaults": [{"override /hydra/sweeper": sweeper}],
        "hydra": {"mode": "MULTIRUN", "sweeper": dict(node)},
    }
    text = yaml.safe_dump(content, sort_keys=False)
    (folder / kind / f"{node['name']}.yaml").write_text(f"# @package _global_\n{text}")


def stamps(folder: Path) -> dict[str, int]:
    """When each run of a folder was finished, by id."""
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("runs/*/result.json")}


def measured_rows(folder: Path) -> list[dict[str, Any]]:
    """The stored rows of all runs of a folder, without their times."""
    found = [row for path in folder.glob("runs/*/rows.jsonl") for row in decode(path.read_bytes())[0]]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in found]
