"""A table on the terminal."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from harness.tables.document import Document, direction
from harness.tables.view import Section, Shown

WIDTH = 100
"""Columns where there is no terminal to ask."""
ENOUGH = 10_000
"""Columns into which every table fits."""


def show(document: Document, file: TextIO | None = None) -> None:
    """Print a table, its claims and its notes; on stdout by default."""
    out = file or sys.stdout
    console = Console(file=out, width=None if out.isatty() else WIDTH, highlight=False, soft_wrap=True)
    console.print(document.title, style="bold", markup=False)
    star = "" if out.isatty() else "*"
    whole = [_grid(document.columns, section, star) for section in document.sections]
    free = console.options.update(max_width=ENOUGH)
    narrow = any(Measurement.get(console, free, grid).maximum > console.width for grid in whole)
    for section, grid in zip(document.sections, whole, strict=True):
        console.print(_grid(document.columns, section, star, short=True) if narrow else grid, soft_wrap=False)
    if narrow:
        console.print(
            "Too wide here for standard deviations and what else stands by a number: table.md has all of it.",
            markup=False,
        )
    for line in document.caption:
        console.print(line, markup=False)
    if document.verdicts:
        console.print("\nClaims", style="bold")
    for verdict in document.verdicts:
        console.print(Text.assemble((f"{verdict.said}: ", _STYLES[verdict.status]), verdict.text))
        for figure in verdict.figures:
            console.print(f"    {figure}", markup=False)
    for line in ("", *document.notes):
        console.print(line, markup=False)


_STYLES = {
    "holds": "green",
    "does not hold": "red",
    "undecided": "yellow",
    "not measured": "dim",
    "not judged": "dim",
}


def _grid(columns: Sequence[str], section: Section, star: str, short: bool = False) -> RichTable:
    """One metric: a line for each row, and below it the published numbers where there are some; `short`: means and
    published numbers alone."""
    grid = RichTable(title=escape(direction(section)), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1))
    words = [word for name, _ in section.rows for word in name.split()]
    grid.add_column(overflow="fold", min_width=max(map(len, ["  paper", *words])))
    for column in columns:
        grid.add_column(escape(column), justify="right", overflow="fold")
    for name, cells in section.rows:
        grid.add_row(Text(name), *(_cell(_bare(shown) if short else shown, star) for shown in cells))
        if any(shown.published for shown in cells):
            theirs = ((_bare(shown) if short else shown).paper for shown in cells)
            grid.add_row(Text("  paper", "dim"), *(Text(text, "dim") for text in theirs))
    return grid


def _bare(shown: Shown) -> Shown:
    """A cell without its deviation, and without what its published number is beside it."""
    return replace(shown, std="", against="")


def _cell(shown: Shown, star: str) -> Text:
    """The best mean is bold; where there are no colours, it has a star."""
    return Text.assemble(
        (shown.mean + star, "bold green") if shown.best else shown.mean,
        (f" ± {shown.std}" if shown.std else "", "dim"),
    )
