"""The command line, carried out in the test's own process: fast, and open to what a test does to it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

Main = Callable[..., int]
QUICK = ("logger=none", "dataset=digits32")


@pytest.fixture
def main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Main:
    """`python -m harness ...` in an empty folder, without the user's data or keys; returns the exit status."""
    from harness.commands import main as cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    (tmp_path / "own").mkdir()

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
    (folder / "own" / "table").mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(
        {
            "defaults": [{"override /hydra/sweeper": "table"}],
            "hydra": {"mode": "MULTIRUN", "sweeper": {**node, **changes}},
        },
        sort_keys=False,
    )
    (folder / "own" / "table" / f"{name}.yaml").write_text(f"# @package _global_\n{text}")
