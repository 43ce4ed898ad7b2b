"""What a command costs before and around its work: the help, a mistake, the smallest run. Beside torch's own import."""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from harness.bench.report import BenchResult

RUN = ("attack=dlg", "attack.steps=1", "trials=1", "scale=smoke", "device=cpu")
COMMANDS: dict[str, tuple[int, Sequence[str]]] = {
    "startup_help": (0, ["--help"]),
    "startup_setting": (2, ["attack=ig", "attack.step=10"]),
    "startup_value": (2, ["attack=ig", "attack.steps=ten"]),
    "startup_run_csv": (0, [*RUN, "logger=csv"]),
    "startup_run_wandb": (0, [*RUN, "logger=wandb"]),
}
"""The exit status and the arguments of each."""
REPEATS = 5


def measure() -> list[BenchResult]:
    """CPU seconds of whole processes, user and system, in turn; medians. The first round fills the caches."""
    spent: dict[str, list[float]] = {name: [] for name in ("torch", *COMMANDS)}
    for repeat in range(REPEATS + 1):
        for name in spent:
            status, arguments = COMMANDS.get(name, (0, []))
            line = ["-m", "harness", *arguments] if arguments else ["-c", "import torch"]
            seconds = cpu_seconds(line, status)
            if repeat:
                spent[name].append(seconds)
    torch = median(spent.pop("torch"))
    return [
        BenchResult(name, median(times), {"CPU s, most": max(times), "CPU s, import torch": torch})
        for name, times in spent.items()
    ]


def cpu_seconds(line: Sequence[str], status: int) -> float:
    """What a process and its children take, in a folder of its own. Raises RuntimeError where it ends otherwise."""
    with tempfile.TemporaryDirectory() as folder:
        where = {
            "OMP_NUM_THREADS": "1",
            "WANDB_MODE": "offline",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, *line],
            cwd=folder, env=os.environ | where, capture_output=True, text=True, check=False,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != status:
        raise RuntimeError(f"{' '.join(line)} ended with {done.returncode}: {done.stderr[-200:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
