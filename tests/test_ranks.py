"""Several ranks find what one process finds, and what they had stored when they were killed stays."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.config import compose
from harness.core import UserError
from harness.records import Store
from harness.run import run, run_together

LIGHT = (
    "logger=csv",
    "trials=5",
    "attack=idlg",
    "attack.steps=2",
    "attack.tolerance=50",
    "attack.engine=loop",
)
STARTS = ("random", "feedback", "uniform")


def rows(folder: Path, identity: str) -> list[dict[str, object]]:
    """What a run has stored, less how long it took."""
    record = Store(folder).load(identity)
    assert record is not None
    return [{name: value for name, value in row.items() if name != "seconds"} for row in record.rows]


def test_two_ranks_find_what_one_process_finds(tmp_path: Path) -> None:
    """Three runs side by side, one of which must stay with one rank, for it learns."""
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, ranks in ((one, 1), (two, 2)):
        run_together(
            [compose(*LIGHT, f"start={s}", f"ranks={ranks}", f"paths.runs={folder}") for s in STARTS]
        )
    for record in Store(one).records():
        assert rows(two, record.id) == rows(one, record.id)
        images = [Store(folder).images(record.id) for folder in (one, two)]
        assert all(images[0][name].equal(images[1][name]) for name in images[0])
        files = [{path.name for path in (folder / record.id).iterdir()} for folder in (one, two)]
        assert files[0] == files[1]
        logs = [(folder / record.id / "images.csv").read_text().splitlines() for folder in (one, two)]
        assert len(logs[0]) == len(logs[1])
