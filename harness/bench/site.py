"""How long the report of a thousand cells takes to build, and its heaviest page to open in Chromium."""

import html
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter, process_time

import torch

from harness.bench.report import BenchResult
from harness.core import generator
from harness.report.site import build
from harness.store.records import Store, summarise
from harness.tables.layout import MetricColumn
from harness.tables.measurement import Outcome
from harness.tables.render import render
from harness.tables.spec import Table

ROWS, COLUMNS, IMAGES, POINTS, REPEATS = 20, 50, 4, 100, 3
METRICS = ("psnr_unit", "psnr_ggl", "mse", "mse_ggl", "ssim", "mse_r")
TABLE, RUN = "here/bench/digits32-small/index.html", "run.html#run=run0000"
PAGES = ("index.html", "runs.html", TABLE, RUN)

_DRIVER = """<!doctype html><meta charset="utf-8"><pre id="spent"></pre><script>
const opened = (frame) => {{
  frame.contentDocument.body.getBoundingClientRect();
  document.getElementById("spent").textContent = JSON.stringify(performance.now() - begun);
}};
const begun = performance.now();
</script><iframe src="{page}" width="1200" height="900" onload="opened(this)"></iframe>"""


def measure(_: int) -> list[BenchResult]:
    """Seconds to build and to open, always of the same number of cells."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        store = Store(root / "runs")
        render(
            _table(),
            "digits32",
            "small",
            list(_outcomes(store)),
            store,
            root / "results" / "bench" / "digits32-small",
        )
        begun, used = perf_counter(), process_time()
        index = build(root / "site", root / "results", root / "published", root / "runs").index
        built, used = perf_counter() - begun, process_time() - used
        sizes = [path.stat().st_size for path in index.parent.rglob("*") if path.is_file()]
        details: dict[str, float | str] = {"cells": ROWS * COLUMNS, "CPU s": used}
        details |= {"files": len(sizes), "MB": sum(sizes) / 1e6}
        return [BenchResult("report_build", built, details), _opening(index.parent)]


def _opening(site: Path) -> BenchResult:
    """The page that is slowest to load, run its scripts and lay itself out, by the median of some openings."""
    chromium = shutil.which("chromium")
    if chromium is None:
        return BenchResult("report_open", None, reason="chromium is not installed")
    spent = {
        page: sorted(_open(chromium, site, page) for _ in range(REPEATS))[REPEATS // 2] for page in PAGES
    }
    return BenchResult(
        "report_open", max(spent.values()), {f"s, {page}": each for page, each in spent.items()}
    )


def _open(chromium: str, site: Path, page: str) -> float:
    driver = site / "driver.html"
    driver.write_text(_DRIVER.format(page=html.escape(page)))
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-sync",
    ]
    flags += [
        "--disable-background-networking",
        "--disable-component-update",
        "--allow-file-access-from-files",
    ]
    with tempfile.TemporaryDirectory() as profile:
        command = [chromium, *flags, f"--user-data-dir={profile}", "--dump-dom", driver.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    driver.unlink()
    found = re.search(r'<pre id="spent">(.*?)</pre>', done.stdout)
    if not found:
        raise RuntimeError(f"chromium said no time: {done.stderr}")
    return float(json.loads(found[1])) / 1000


def _table() -> Table:
    columns = {name: MetricColumn(title=name, higher_is_better=True) for name in METRICS}
    return Table(
        name="bench",
        title="A thousand cells",
        source="made up",
        metrics=columns,
        rows={f"attack {k}": [] for k in range(ROWS)},
        columns={f"defence {k}": [] for k in range(COLUMNS)},
    )


def _outcomes(store: Store) -> Iterator[Outcome]:
    """A run of noise behind every cell, stored as real runs are."""
    for place, cell in enumerate(_table().cells("digits32", "small")):
        rng = generator("site", place)
        choices = {
            "dataset": "digits32",
            "model": "lenet",
            "fl": "fedsgd",
            "attack": cell.row,
            "defense": cell.column,
        }
        config = {"attack": {"steps": 300, "lr": 0.1}, "model": {"width": 8}, "seed": 0, "choices": choices}
        run = store.open(f"run{place:04}", config)
        for problem in range(IMAGES):
            truth, found = torch.rand(2, 1, 3, 32, 32, generator=rng)
            row = {"target": problem, "status": "budget", "evaluations": 300, "seconds": 1.0}
            row |= dict(zip(METRICS, torch.rand(len(METRICS), generator=rng).tolist(), strict=True))
            trace = [{"evaluation": 3 * k, "loss": 0.9**k + float(found.mean())} for k in range(POINTS)]
            run.append(problem, [row], {"truth": truth, "reconstruction": found}, trace)
        record = run.finish(summarise(run.rows), {"git": "0" * 40, "python": "3.11"})
        yield Outcome(cell, record.id, config, record)
