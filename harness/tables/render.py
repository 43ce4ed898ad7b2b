"""Write a table down: cells.csv, document.json, table.{md,tex,html}, gallery.png, provenance.json, supplements."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import pictures
from harness.files import to_json, write_atomically
from harness.provenance import combined
from harness.records import Store
from harness.tables.document import Document, compose, dump
from harness.tables.gallery import gallery
from harness.tables.html import html
from harness.tables.latex import latex
from harness.tables.markdown import markdown
from harness.tables.measurement import Outcome, measure, to_csv
from harness.tables.reference import published
from harness.tables.spec import Table


def render(
    table: Table, dataset: str, scale: str, outcomes: Sequence[Outcome], store: Store, directory: Path
) -> Document:
    """Write all forms of a table, finished or not, into a directory."""
    measurements = measure(table, outcomes, published(table, dataset))
    document = compose(table, dataset, scale, outcomes, measurements)
    picture = gallery(table, outcomes, measurements, store.images)
    directory.mkdir(parents=True, exist_ok=True)
    if picture is not None:
        pictures.save(picture, directory / "gallery.png")
    shown = (directory / "gallery.png").read_bytes() if picture else None
    texts = {
        "cells.csv": to_csv(measurements),
        "document.json": dump(document),
        "table.md": markdown(document),
        "table.tex": latex(document),
        "table.html": html(document, shown),
        "provenance.json": to_json(provenance(table, dataset, scale, outcomes, document), indent=1) + "\n",
    }
    for name, text in texts.items():
        write_atomically(directory / name, text.encode())
    for supplement in table.supplements:
        supplement.write(dataset, outcomes, store, directory)
    return document


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
