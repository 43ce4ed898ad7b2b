"""The picture of a table: originals on top, then what each attack makes of them under each defence."""

from collections.abc import Callable, Mapping, Sequence

import torch
from PIL import Image
from torch import Tensor

from harness.plots import pictures
from harness.tables.measurement import Measurements, Outcome, finished
from harness.tables.spec import Table
from harness.tables.view import number

SIDE, PER_LINE, MOST, LETTERS = 64, 4, 8, 15
"""Pixels of a picture, pictures in a line and in a block, size of the names."""

Images = Mapping[str, Tensor]
Found = dict[tuple[str, str], Images]


def gallery(
    table: Table, outcomes: Sequence[Outcome], measurements: Measurements, load: Callable[[Outcome], Images]
) -> Image.Image | None:
    """One block of pictures per row and column; None when no cell has images yet.

    It is of the first seed, or of all seeds one after the other where each attacks the same images.
    `load` gives the tensors `truth` and `reconstruction` of an outcome. A cell without a result is grey.
    """
    found = _load(table, outcomes, load)
    if not found:
        return None
    size = _block(next(iter(found.values()))["truth"]).size
    names = [pictures.label(name, LETTERS, bold=True) for name in ("", "original", *table.rows)]
    head = [pictures.label(column, LETTERS, bold=True) for column in table.columns]
    originals = [_cell(_truth(found, column), "", size) for column in table.columns]
    attacked = [
        [
            _cell(found[row, column]["reconstruction"], _note(table, measurements, row, column), size)
            if (row, column) in found
            else _cell(None, "no result", size)
            for column in table.columns
        ]
        for row in table.rows
    ]
    rows = [[name, *cells] for name, cells in zip(names, [head, originals, *attacked], strict=True)]
    return pictures.framed(pictures.grid(rows, across=24, down=10))


def _load(table: Table, outcomes: Sequence[Outcome], load: Callable[[Outcome], Images]) -> Found:
    first = min((outcome.cell.seed for outcome in outcomes if outcome.record), default=None)
    loaded = {
        (row, column): [load(outcome) for outcome in found]
        for row in table.rows
        for column in table.columns
        for done in [finished(outcomes, row, column).values()]
        if (found := [each for each in done if table.independent == "seed" or each.cell.seed == first])
    }
    return {
        key: {name: torch.cat([each[name] for each in images]) for name in images[0]}
        for key, images in loaded.items()
        if images[0]["truth"].ndim == 4
    }


def _truth(found: Found, column: str) -> Tensor | None:
    """The originals of a column: its rows all attack the same."""
    return next((images["truth"] for (_, name), images in found.items() if name == column), None)


def _block(images: Tensor) -> Image.Image:
    tiles = [pictures.tile(image, SIDE) for image in images[:MOST]]
    return pictures.lines(tiles, PER_LINE, gap=2)


def _cell(images: Tensor | None, note: str, size: tuple[int, int]) -> Image.Image:
    block = pictures.blank(*size, pictures.MISSING) if images is None else _block(images)
    return pictures.above([block, pictures.label(note)], gap=1) if note else block


def _note(table: Table, measurements: Measurements, row: str, column: str) -> str:
    if table.picture is None:
        return ""
    metric, mean = table.metrics[table.picture], measurements[row, column, table.picture].mean
    return f"{metric.title} {'-' if mean is None else number(mean, metric.digits)}"
