"""Rows, and rows as text: CSV files, and pipe tables of Markdown."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]
"""An image of a run: its columns by name."""

FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""How a text begins that spreadsheets take for a formula, which can start programs."""
NUMBER = re.compile(r"[+-](\d[\d.]*([eE][+-]?\d+)?|inf|nan)")


def csv_cell(value: object) -> object:
    """A value for a CSV file: a text that a spreadsheet would take for a formula begins with an apostrophe."""
    if isinstance(value, str) and value[:1] in FORMULAS and not NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def to_csv(rows: Iterable[Sequence[object]]) -> str:
    """Rows, the first of them the names, as CSV, in which no text is a formula and None is an empty cell."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(map(csv_cell, row) for row in rows)
    return text.getvalue()


def read_csv(path: Path) -> list[dict[str, str]]:
    """The lines of a CSV file by the names in its first."""
    return parse_csv(path.read_text(encoding="utf-8"))


def parse_csv(text: str) -> list[dict[str, str]]:
    """The lines of a CSV text by the names in its first."""
    return list(csv.DictReader(io.StringIO(text)))


def pipes(rows: Iterable[Sequence[str]]) -> str:
    """A pipe table of cells that are markup already; the first row is the head."""
    head, *body = rows
    lines = ["".join(f"| {cell} " if cell else "| " for cell in row) + "|" for row in (head, *body)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])
