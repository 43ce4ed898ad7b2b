"""What the store costs a small cell, and what a second worker on the same store saves."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from harness.bench.report import BenchResult
from harness.config.composition import compose
from harness.loggers.csv import CsvSession
from harness.runs.run import run
from harness.store.recording import Run

SEEDS = 10
CELLS = 2 * 5 * 2 * SEEDS
SWEEP = {
    "name": "store",
    "title": "Small cells",
    "source": "make bench",
    "metrics": {"mse": {"title": "MSE", "higher_is_better": False}},
    "base": ["model=lenet", "logger=csv"],
    "rows": {
        f"{attack} {size}": [f"attack={attack}", f"fl.batch_size={size}"]
        for attack in ("dlg", "ig")
        for size in (1, 2, 3, 4, 5)
    },
    "columns": {"None": ["defense=none"], "Noise": ["defense=noise"]},
    "seeds": list(range(SEEDS)),
}
TWO = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]


def sharing(rounds: int) -> list[BenchResult]:
    """Seconds of a whole command, by the clock: one, two at once on one store, one with two processes; in turn."""
    spent: dict[str, list[float]] = {"one": [], "two commands": [], "JOBS=2": []}
    loads = []
    for _ in range(rounds):
        loads.append(os.getloadavg()[0])
        spent["one"].append(_seconds([[]]))
        spent["two commands"].append(_seconds([[], []]))
        spent["JOBS=2"].append(_seconds([TWO]))
    best = {name: min(values) for name, values in spent.items()}
    details: dict[str, float | str] = {f"s, {name}": value for name, value in best.items()}
    details |= {"JOBS=2 over one": best["JOBS=2"] / best["one"], "cells": CELLS, "load before": max(loads)}
    return [BenchResult("sharing", best["two commands"] / best["one"], details)]


def _seconds(commands: list[list[str]]) -> float:
    """How long commands take that begin together in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "own" / "table" / "store.yaml"
        table.parent.mkdir(parents=True)
        node = {
            "defaults": [{"override /hydra/sweeper": "table"}],
            "hydra": {"mode": "MULTIRUN", "sweeper": SWEEP},
        }
        table.write_text(f"# @package _global_\n{yaml.safe_dump(node, sort_keys=False)}")
        line = [sys.executable, "-m", "harness", "--config-dir", "own", "table=store", "scale=smoke"]
        begun = time.perf_counter()
        processes = [
            subprocess.Popen([*line, *more], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for more in commands
        ]
        statuses = [process.wait() for process in processes]
        if any(statuses):
            raise RuntimeError("a command of the measurement failed")
        seconds = time.perf_counter() - begun
        if len(list(Path(folder).glob("runs/*/result.json"))) != CELLS:
            raise RuntimeError("the measurement left cells out")
        return seconds


def overhead(cells: int) -> list[BenchResult]:
    """The share of a small cell's time, by the clock and without imports, that goes to its store, lease and log."""
    spent = {"clock": 0.0, "processor": 0.0}

    def timed(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            clock, processor = time.perf_counter(), time.process_time()
            try:
                return call(*arguments)
            finally:
                spent["clock"] += time.perf_counter() - clock
                spent["processor"] += time.process_time() - processor

        return wrapped

    with tempfile.TemporaryDirectory() as folder:
        one = compose("attack=dlg", "model=lenet", "logger=csv", "scale=smoke", f"paths.runs={folder}")
        run(one)
        names = [
            (Run, "__init__"),
            (Run, "append"),
            (Run, "finish"),
            (CsvSession, "image"),
            (CsvSession, "finish"),
        ]
        patches = [patch.object(cls, name, timed(getattr(cls, name))) for cls, name in names]
        for each in patches:
            each.start()
        clock, processor = time.perf_counter(), time.process_time()
        for seed in range(1, cells + 1):
            run(replace(one, seed=seed))
        clock, processor = time.perf_counter() - clock, time.process_time() - processor
        patch.stopall()
    shares = {"clock": 100 * spent["clock"] / clock, "processor": 100 * spent["processor"] / processor}
    details: dict[str, float | str] = {
        "by the processor's time, %": shares["processor"],
        "ms a cell, clock": 1e3 * clock / cells,
        "ms a cell, processor": 1e3 * processor / cells,
        "cells": cells,
    }
    return [BenchResult("sharing_overhead", shares["clock"], details)]
