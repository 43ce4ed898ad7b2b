"""Write a table down: cells.csv, document.json, table.{md,tex,html}, pictures, provenance.json, supplements."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from harness.base.files import to_json_lines, write_atomically
from harness.plots import pictures
from harness.plots.plot import write_all
from harness.store.frames import named
from harness.store.provenance import combined
from harness.store.records import Store
from harness.tables.budget import Budgets
from harness.tables.cuttings import Cuttings, told
from harness.tables.document import Document, compose, dump
from harness.tables.gallery import gallery
from harness.tables.html import html
from harness.tables.latex import latex
from harness.tables.markdown import markdown
from harness.tables.measurement import Outcome, cells_csv, measure
from harness.tables.reference import published
from harness.tables.spec import Table

if TYPE_CHECKING:
    import pandas


def render(
    table: Table,
    dataset: str,
    scale: str,
    outcomes: Sequence[Outcome],
    store: Store,
    directory: Path,
    budgets: Budgets = MappingProxyType({}),
) -> Document:
    """Write all forms of a table, finished or not, into a directory."""
    measurements = measure(table, outcomes, published(table, dataset))
    directory.mkdir(parents=True, exist_ok=True)
    drawn, troubles = write_all(table.plots, _frame(outcomes, store), directory) if table.plots else ({}, [])
    document = compose(table, dataset, scale, outcomes, measurements, budgets)
    document = replace(document, notes=(*document.notes, *troubles), plots=tuple(drawn.items()))
    load, cut = partial(Outcome.images, store=store), Cuttings(outcomes)
    shown = gallery(table, outcomes, measurements, load, cut) if table.comparable else None
    if shown is not None:
        pictures.save(shown.picture, directory / "gallery.png", told(shown.places))
    for supplement in table.supplements:
        supplement.write(dataset, outcomes, store, directory)
    texts = {
        "cells.csv": cells_csv(measurements),
        "document.json": dump(document),
        "table.md": markdown(document, (directory / "gallery.png").exists()),
        "table.tex": latex(document),
        "table.html": html(document, (directory / "gallery.png").read_bytes() if shown else None),
        "provenance.json": to_json_lines(provenance(table, dataset, scale, outcomes, document)),
    }
    for name, text in texts.items():
        write_atomically(directory / name, text.encode())
    return document


def _frame(outcomes: Sequence[Outcome], store: Store) -> "pandas.DataFrame":
    """The images of a table's finished runs, with the names of their rows and columns."""
    done = [outcome for outcome in outcomes if outcome.record]
    names = [{"run": o.id, "row": o.cell.row, "column": o.cell.column} for o in done]
    return named(store.root, names, {o.id: o.record.rows for o in done if o.record})


def provenance(
    table: Table, dataset: str, scale: str, outcomes: Sequence[Outcome], document: Document
) -> dict[str, Any]:
    """Where the numbers come from: code, versions, devices, cost; for every cell its run and overrides."""
    records = {o.id: o.record for o in outcomes if o.record}
    return {
        "table": table.name,
        "source": table.source,
        "dataset": dataset,
        "scale": scale,
        "caption": [*document.caption, *document.notes],
        **combined([record.provenance for record in records.values()]),
        "cells": [
            {"row": o.cell.row, "column": o.cell.column, "seed": o.cell.seed, "run": o.id,
             "finished": o.record is not None, "overrides": o.cell.overrides}
            for o in outcomes
        ],
    }  # fmt: skip
