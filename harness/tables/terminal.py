"""A table on the terminal."""

import sys
from collections.abc import Sequence
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from harness.tables.document import Document, direction
from harness.tables.view import Section, Shown

WIDTH = 100
"""Columns where there is no terminal to ask."""


def show(document: Document, file: TextIO | None = None) -> None:
    """Print a table, its claims and its notes; on stdout by default."""
    out = file or sys.stdout
    console = Console(file=out, width=None if out.isatty() else WIDTH, highlight=False, soft_wrap=True)
    console.print(document.title, style="bold", markup=False)
    for section in document.sections:
        console.print(_grid(document.columns, section, star="" if out.isatty() else "*"), soft_wrap=False)
    for line in document.caption:
        console.print(line, markup=False)
    if document.verdicts:
        console.print("\nThe paper's claims", style="bold")
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


def _grid(columns: Sequence[str], section: Section, star: str) -> RichTable:
    """One metric: a line for each row, and below it the published numbers where there are some."""
    grid = RichTable(title=escape(direction(section)), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1))
    for column in ("", *columns):
        grid.add_column(escape(column), justify="right" if column else "left")
    for name, cells in section.rows:
        grid.add_row(Text(name), *(_cell(shown, star) for shown in cells))
        if any(shown.published for shown in cells):
            grid.add_row(Text("  paper", "dim"), *(Text(shown.paper, "dim") for shown in cells))
    return grid


def _cell(shown: Shown, star: str) -> Text:
    """The best mean is bold; where there are no colours, it has a star."""
    return Text.assemble(
        (shown.mean + star, "bold green") if shown.best else shown.mean,
        (f" ± {shown.std}" if shown.std else "", "dim"),
    )
