"""Ask the store: harness query "attack == 'ig' and psnr_unit > 20" --by attack,defense"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.base.command import answered, expanded
from harness.base.errors import UserError
from harness.base.files import write_atomically
from harness.store.filters import select
from harness.store.frames import aggregate, frame, known, to_csv

if TYPE_CHECKING:
    import pandas

SHOWN = ("run", "dataset", "attack", "defense", "seed", "target", "psnr_unit", "ssim", "lpips_vgg", "success")
"""Columns of a listing, unless others are named."""
METRICS = ("psnr_unit", "ssim", "lpips_vgg", "mse", "label_correct", "success")
"""What a summary is of, unless other columns are named."""


def query(root: Path, condition: str | None, by: Sequence[str], columns: Sequence[str]) -> "pandas.DataFrame":
    """The images for which a condition holds, or with `by` the statistics of their groups.

    Raises UserError when there are no runs, or no such columns.
    """
    chosen = select(stored(root), condition)
    if by:
        return aggregate(chosen, by, columns or [name for name in METRICS if name in chosen])
    return chosen[known(chosen, columns) or [name for name in SHOWN if name in chosen]]


def stored(root: Path) -> "pandas.DataFrame":
    """Every image of a store. Raises UserError when there is none."""
    table = frame(root)
    if table.empty:
        raise UserError(f"no finished runs in {root}: say where they are, --runs FOLDER")
    return table


def text(table: "pandas.DataFrame", most: int) -> str:
    """The first `most` lines of a table in aligned columns, numbers with four digits."""
    if table.empty:
        return "no image fulfils the condition"
    shown = table.head(most).to_string(index=False, na_rep="-", float_format=lambda value: f"{value:.4g}")
    left = len(table) - most
    return shown + (
        f"\n... and {left} more: --lines {len(table)} or --csv FILE shows all" if left > 0 else ""
    )


def names(value: str) -> list[str]:
    """Names separated by commas."""
    return [name.strip() for name in value.split(",") if name.strip()]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit status 2 for a user error."""
    parser = argparse.ArgumentParser(prog="harness query", description=__doc__)
    parser.add_argument("condition", nargs="?", help="default: every image")
    parser.add_argument("--by", type=names, default=[], help="columns: a line for each group and metric")
    parser.add_argument("--columns", type=names, default=[], help="what to show of each image or group")
    parser.add_argument("--csv", type=expanded, help="write all lines to this file")
    parser.add_argument("--lines", type=int, default=50, help="how many to print (50)")
    parser.add_argument("--runs", type=expanded, default=Path("runs"), help="the store (runs)")
    options = parser.parse_args(arguments)

    def command() -> None:
        found = query(options.runs, options.condition, options.by, options.columns)
        if options.csv:
            options.csv.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(options.csv, to_csv(found))
        print(text(found, max(options.lines, 1)))

    return answered(command)
