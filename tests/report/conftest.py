"""A site of two tables, one of which has names that would do harm if they were obeyed."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.report.site import build
from harness.store.records import Store, summarise
from harness.tables.layout import Cell
from harness.tables.measurement import Outcome
from harness.tables.render import render
from harness.tables.spec import Table, parse

TAG = '</script><script>document.title = "owned"</script><img src=x onerror="document.title = \'owned\'">'
"""A name that would end a script element, begin another, and run at a broken picture."""
FAMILY = "<img src=x onerror=alert(1)>"
"""A name of the same kind that can be a directory."""
PSNR = {"A": 9.0, "B": 30.5, "C": 11.0}


def table(name: str, rows: dict[str, list[str]], columns: dict[str, list[str]]) -> Table:
    metrics = {
        "psnr_unit": {"title": "PSNR", "higher_is_better": True, "digits": 1},
        "mse": {"title": "MSE", "higher_is_better": False, "digits": 3},
    }
    claim = {
        "_target_": "harness.tables.claims.bound.Bound",
        "text": f"{next(iter(rows))} is best",
        "row": next(iter(rows)),
        "metrics": ["psnr_unit"],
        "bound": 10.0,
    }
    return parse(
        {"name": name, "title": f"Table of {name}", "source": "Nobody, Nowhere", "metrics": metrics}
        | {"rows": rows, "columns": columns, "claims": [claim]}
    )


def configuration(attack: str, defense: str, steps: int, seed: int) -> dict[str, Any]:
    choices = {"dataset": "digits32", "model": "lenet", "fl": "fedsgd", "attack": attack, "defense": defense}
    return {"attack": {"steps": steps}, "fl": {"batch_size": 1}, "seed": seed, "choices": choices}


def outcome(store: Store, cell: Cell, psnr: float, config: dict[str, Any], identity: str) -> Outcome:
    """A finished run of two images, and the cell that stands on it."""
    run = store.open(identity, config)
    for problem in range(2):
        truth = torch.full((1, 1, 8, 8), 0.25 * (problem + 1))
        row = {
            "target": 100 + problem,
            "psnr_unit": psnr + problem,
            "mse": 0.1,
            "status": "budget",
            "seconds": 0.5,
        }
        trace = [{"evaluation": 10 * k, "loss": 10.0**-k * psnr} for k in range(5)]
        run.append(problem, [row], {"truth": truth, "reconstruction": truth / 2}, trace)
    origin = {"git": "0123", "versions": {"torch": "2"}, "methods": {"harness.labels.rlu.RLU": 1}}
    record = run.finish(summarise(run.rows), origin)
    return Outcome(cell, identity, config, record)


def toy(results: Path, store: Store) -> None:
    """Three attacks and two defences, whose PSNR is that of `PSNR`; B has other steps."""
    toy = table("toy", {row: [] for row in PSNR}, {"X": [], "Y": []})
    outcomes = [
        outcome(
            store,
            Cell(row, column, 0, (f"attack={row}", f"defense={column}")),
            psnr,
            configuration(row.lower(), column.lower(), 300 if row == "B" else 20, seed=0),
            f"{row}{column}0",
        )
        for row, psnr in PSNR.items()
        for column in "XY"
    ]
    outcomes.append(Outcome(Cell("A", "X", 1, ("seed=1",)), "AX1", {}, failure="ValueError: it broke"))
    render(toy, "digits32", "small", outcomes, store, results / "toy" / "digits32-small")


def hostile(results: Path, store: Store) -> None:
    """A table whose every name is a tag, but its own, which may be none."""
    evil = table("evil", {TAG: []}, {TAG + "2": []})
    config = configuration(TAG, TAG, 20, seed=0) | {TAG: TAG}
    made = outcome(store, Cell(TAG, TAG + "2", 0, (TAG,)), 5.0, config, "evil")
    folder = results / FAMILY / FAMILY
    render(evil, TAG, TAG, [made], store, folder)
    (folder / f"{FAMILY}.csv").write_text(f'"{FAMILY}",b\n{FAMILY},</script>\n')
    (folder / "report.md").write_text(
        f"# {TAG}\n\n{TAG} [a](javascript:alert(1))\n\n| a |\n|---|\n| {TAG} |\n"
    )
    shutil.copyfile(folder / "gallery.png", folder / f"{FAMILY}.png")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a site with both tables."""
    root = tmp_path_factory.mktemp("report")
    store = Store(root / "runs")
    toy(root / "results", store)
    hostile(root / "results", store)
    published = root / "published" / "toy"
    shutil.copytree(root / "results" / "toy" / "digits32-small", published / "faces-medium")
    (published / "README.md").write_text("# What came out\n\n[The report](faces-medium/report.md)\n")
    return build(root / "site", root / "results", root / "published", root / "runs").index.parent
