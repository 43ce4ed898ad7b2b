"""What it costs to follow a search while it lasts: one image of IG, logged by W&B offline and by nobody, in turn."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from harness.base.rows import Row
from harness.bench.report import BenchResult
from harness.bench.timing import Stopwatch
from harness.config.composition import compose
from harness.core import Moment
from harness.runs.run import run
from harness.runs.watching import Watching

STEPS, PAIRS = 300, 5
SETTINGS = ("attack=ig", "model=lenet", "dataset=photos32", "trials=1", "device=cpu")


def measure() -> list[BenchResult]:
    """The CPU time of all that is done when a search tells something, of the rest of the run's: a difference of two
    runs of seconds says less than how much two runs of the same differ. Raises RuntimeError where a row changes."""
    with tempfile.TemporaryDirectory() as folder:
        for logger in ("none", "wandb"):
            _carry_out(Path(folder), logger, 1)
    spent: dict[str, list[float]] = {"none": [], "wandb": []}
    shares, rows = [], []
    for _ in range(PAIRS):
        for logger, times in spent.items():
            with tempfile.TemporaryDirectory() as folder:
                whole, heard, row = _carry_out(Path(folder), logger, STEPS)
                counts = _logged(Path(folder)) if logger == "wandb" else {}
            times.append(whole)
            rows.append(row)
        shares.append(100 * heard / (whole - heard))
    if any(row != rows[0] for row in rows):
        raise RuntimeError("a row of a run that is followed is not that of one that is not")
    details: dict[str, float | str] = {
        "pairs": PAIRS,
        "%, least": min(shares),
        "%, most": max(shares),
        "CPU s, logged by nobody": median(spent["none"]),
        "CPU s, logged by W&B": median(spent["wandb"]),
        "rows bit-identical": "yes",
    }
    return [
        BenchResult("live_cost", median(shares), details),
        BenchResult("live_points", counts["points"]),
        BenchResult("live_pictures", counts["pictures"]),
    ]


def _carry_out(folder: Path, logger: str, steps: int) -> tuple[float, float, Row]:
    """CPU seconds of a run and, among them, of hearing; and its row, but for how long it took."""
    whole, heard, hear = Stopwatch(), Stopwatch(), Watching.hear

    def timed(watching: Watching, moment: Moment) -> None:
        with heard:
            hear(watching, moment)

    overrides = (*SETTINGS, f"attack.steps={steps}", f"logger={logger}", f"paths.runs={folder}")
    with whole, patch.object(Watching, "hear", timed):
        record = run(compose(*overrides))
    return whole.seconds, heard.seconds, {k: v for k, v in record.rows[0].items() if k != "seconds"}


def _logged(folder: Path) -> dict[str, int]:
    """How many points of the loss, and pictures, W&B's own reader finds in its offline log."""
    (log,) = (folder / "wandb").glob("offline-run-*")
    command = [str(Path(sys.executable).with_name("wandb")), "leet", "inspect", "--json", str(log)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    records: list[dict[str, Any]] = [json.loads(line) for line in lines]
    history = [record["history"]["item"] for record in records if record["type"] == "history"]
    return {
        "points": sum("loss/0" in entry for entry in history),
        "pictures": sum(any(name.startswith("reconstruction/") for name in entry) for entry in history),
    }
