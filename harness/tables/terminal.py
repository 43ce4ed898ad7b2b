"""A table on the terminal."""

import sys
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from harness.tables.document import Document, direction
from harness.tables.view import Shown

WIDTH = 160
"""Columns where there is no terminal to ask."""


def show(document: Document, file: TextIO | None = None) -> None:
    """Print a table, its claims and its notes; on stdout by default."""
    out = file or sys.stdout
    console = Console(file=out, width=None if out.isatty() else WIDTH, highlight=False, soft_wrap=True)
    grid = RichTable(title=escape(document.title), caption_justify="left", title_style="bold")
    for column in ("", *document.columns):
        grid.add_column(escape(column), justify="right" if column else "left")
    for section in document.sections:
        grid.add_row(Text(direction(section), style="italic"))
        for name, cells in section.rows:
            grid.add_row(Text(name), *(_cell(shown, star="" if out.isatty() else "*") for shown in cells))
        grid.add_section()
    console.print(grid, soft_wrap=False)
    for line in document.caption:
        console.print(line, markup=False)
    if document.verdicts:
        console.print("\nThe paper's claims", style="bold")
    for verdict in document.verdicts:
        console.print(Text.assemble((f"{verdict.status}: ", _STYLES[verdict.status]), verdict.text))
        for figure in verdict.figures:
            console.print(f"    {figure}", markup=False)
    for line in ("", *document.notes):
        console.print(line, markup=False)


_STYLES = {"holds": "green", "does not hold": "red", "not measured": "dim"}


def _cell(shown: Shown, star: str) -> Text:
    """The best mean is bold; where there are no colours, it has a star."""
    return Text.assemble(
        (shown.mean + star, "bold green") if shown.best else shown.mean,
        (f" ± {shown.std}" if shown.std else "", "dim"),
        f" ({shown.published})" if shown.published else "",
    )
