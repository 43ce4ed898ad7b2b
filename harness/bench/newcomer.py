"""From a clone to a first picture: what a newcomer waits for, in seconds of the clock."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness.base.schema import ROOT
from harness.bench.report import BenchResult

RUN = ("-m", "harness", "dataset=photos32")
"""The default attack on four photographs."""


def measure() -> list[BenchResult]:
    """`make setup` in a fresh clone, whose packages an index or a cache has to hold, and the first run in it."""
    if not (ROOT / ".git").exists():
        return [BenchResult("newcomer_setup", None, reason="this is no clone")]
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        _timed(["git", "clone", "--quiet", str(ROOT), str(clone)], Path(folder))
        try:
            setup = _timed(["make", "--silent", "setup", f"PYTHON={sys.executable}"], clone)
        except subprocess.CalledProcessError as error:
            return [BenchResult("newcomer_setup", None, reason=f"make setup fails: {error.stderr[-200:]}")]
        first = _timed([str(clone / ".venv/bin/python"), *RUN], clone)
        if not list(clone.glob("runs/*/gallery.png")):
            raise RuntimeError("the first run has left no picture")
    return [
        BenchResult("newcomer_setup", setup[0], {"CPU s": setup[1], "load before": load}),
        BenchResult("newcomer_run", first[0], {"CPU s": first[1], "load before": load}),
    ]


def _timed(command: list[str], where: Path) -> tuple[float, float]:
    """Seconds of the clock, and of the processor. Raises CalledProcessError."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=where, env=clean, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begun, spent
