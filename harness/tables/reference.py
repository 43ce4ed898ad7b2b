"""Published numbers: tidy CSV files, one number a line (experiments/reference/README.md)."""

import csv
from pathlib import Path

from harness.base.schema import EXPERIMENTS
from harness.core import UserError
from harness.tables.layout import TableLayout

COLUMNS = ("dataset", "row", "column", "metric", "published")
Published = dict[tuple[str, str, str], float]
"""Numbers by (row, column, metric)."""


def published(table: TableLayout, dataset: str) -> Published:
    """The numbers that stand beside ours for a dataset; none where the paper has nothing comparable.

    Raises UserError when the file is missing or has other columns.
    """
    theirs = table.reference and table.reference.dataset(dataset)
    if table.reference is None or theirs is None:
        return {}
    numbers = read(EXPERIMENTS / table.reference.file)
    if theirs not in numbers:
        raise UserError(f"{table.reference.file} has no dataset {theirs!r}: it has {', '.join(numbers)}")
    return numbers[theirs]


def read(path: Path) -> dict[str, Published]:
    """Every number of a file, by dataset."""
    if not path.is_file():
        raise UserError(f"no published numbers at {path}")
    found: dict[str, Published] = {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ())[: len(COLUMNS)] != COLUMNS:
            raise UserError(f"{path}: the columns must begin with {','.join(COLUMNS)}")
        for line in reader:
            key = (line["row"], line["column"], line["metric"])
            found.setdefault(line["dataset"], {})[key] = float(line["published"])
    return found
