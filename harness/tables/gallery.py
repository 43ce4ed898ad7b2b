"""The picture of a table: originals on top, then what each attack makes of them under each defence."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from harness.plots import pictures
from harness.store.published import absent
from harness.tables.cuttings import Cutting, box
from harness.tables.measurement import Measurements, Outcome, finished
from harness.tables.spec import Table
from harness.tables.view import number

SIDE, PER_LINE, MOST, GAP, LETTERS = 64, 4, 8, 2, 15
"""Pixels of a picture, pictures in a line and in a block, pixels between them, size of the names."""
ACROSS, DOWN = 24, 10
"""Pixels between blocks."""

Images = Mapping[str, Tensor]
Cut = Callable[[Sequence[str]], tuple[Image.Image, Image.Image] | None]
"""The originals, and what an attack made of them, of some runs."""


@dataclass(frozen=True)
class CellPictures:
    """The pictures of a cell, and of which runs they are."""

    runs: tuple[str, ...]
    originals: Image.Image
    found: Image.Image


Blocks = Mapping[tuple[str, str], CellPictures]


@dataclass(frozen=True)
class Gallery:
    """The picture, and what lies where in it."""

    picture: Image.Image
    places: tuple[Cutting, ...]


def gallery(
    table: Table,
    outcomes: Sequence[Outcome],
    measurements: Measurements,
    load: Callable[[Outcome], Images],
    cut: Cut,
) -> Gallery | None:
    """One block of pictures per row and column; None when no cell has images yet.

    It is of the first seed, or of all seeds one after the other where each attacks the same images.
    `load` gives the tensors `truth` and `reconstruction` of an outcome; where they were not handed on, `cut` what was
    published of some runs. A cell without a result is grey; a row that nobody asked for is left out.
    """
    blocks = _blocks(table, outcomes, load, cut)
    if not blocks:
        return None
    size = next(iter(blocks.values())).originals.size
    shown = _asked(table, outcomes, blocks)
    names = [pictures.label(name, LETTERS, bold=True) for name in ("", "original", *shown)]
    head = [pictures.label(column, LETTERS, bold=True) for column in table.columns]
    originals = [_originals(blocks, column) or _missing(size, "") for column in table.columns]
    attacked = [
        [
            _noted(blocks[row, column].found, _note(table, measurements, row, column))
            if (row, column) in blocks
            else _missing(size, "no result")
            for column in table.columns
        ]
        for row in shown
    ]
    rows = [[name, *cells] for name, cells in zip(names, [head, originals, *attacked], strict=True)]
    drawn = pictures.framed(pictures.grid(rows, ACROSS, DOWN))
    return Gallery(drawn, tuple(_places(table, shown, blocks, pictures.places(rows, ACROSS, DOWN))))


def _asked(table: Table, outcomes: Sequence[Outcome], blocks: Blocks) -> list[str]:
    """The rows with a result, or with a cell that should have one."""
    made = {row for row, _ in blocks} | {outcome.cell.row for outcome in outcomes if outcome.failure}
    return [row for row in table.rows if row in made]


def _places(
    table: Table, shown: Sequence[str], blocks: Blocks, corners: Sequence[Sequence[tuple[int, int]]]
) -> Iterator[Cutting]:
    """What lies where: below the names of the columns the originals, and then a line for each row."""
    for down, row in enumerate(shown, 2):
        for across, column in enumerate(table.columns, 1):
            if block := blocks.get((row, column)):
                originals = _originals(blocks, column) or block.originals
                theirs, found = box(corners[1][across], originals), box(corners[down][across], block.found)
                yield Cutting(block.runs, theirs, found)


def _blocks(table: Table, outcomes: Sequence[Outcome], load: Callable[[Outcome], Images], cut: Cut) -> Blocks:
    first = min((outcome.cell.seed for outcome in outcomes if outcome.record), default=None)
    found = {}
    for row in table.rows:
        for column in table.columns:
            done = finished(outcomes, row, column).values()
            shown = [each for each in done if table.independent == "seed" or each.cell.seed == first]
            if block := _shown(shown, load, cut):
                found[row, column] = block
    return found


def _shown(shown: Sequence[Outcome], load: Callable[[Outcome], Images], cut: Cut) -> CellPictures | None:
    """The pictures of a cell; None where it is of no images."""
    loaded, runs = [load(outcome) for outcome in shown], tuple(outcome.id for outcome in shown)
    if not loaded or loaded[0]["truth"].ndim != 4:
        return None
    images = {name: torch.cat([each[name] for each in loaded]) for name in loaded[0]}
    if absent(images["truth"][:MOST]) and (published := cut(runs)):
        return CellPictures(runs, *(_first(block, images["truth"][:MOST]) for block in published))
    return CellPictures(runs, _block(images["truth"]), _block(images["reconstruction"]))


def _originals(blocks: Blocks, column: str) -> Image.Image | None:
    """The originals of a column: its rows all attack the same."""
    return next((block.originals for (_, name), block in blocks.items() if name == column), None)


def _block(images: Tensor) -> Image.Image:
    tiles = [pictures.tile(image, SIDE) for image in images[:MOST]]
    return pictures.lines(tiles, PER_LINE, GAP)


def _first(block: Image.Image, images: Tensor) -> Image.Image:
    """Of a block as many pictures as there are images: what was published may have more of the same run."""
    width, height = pictures.tile(images[0], SIDE).size
    corners = [
        (place % PER_LINE * (width + GAP), place // PER_LINE * (height + GAP)) for place in range(len(images))
    ]
    tiles = [block.crop((left, top, left + width, top + height)) for left, top in corners]
    return pictures.lines(tiles, PER_LINE, GAP)


def _missing(size: tuple[int, int], note: str) -> Image.Image:
    return _noted(pictures.blank(*size, pictures.MISSING), note)


def _noted(block: Image.Image, note: str) -> Image.Image:
    return pictures.above([block, pictures.label(note)], gap=1) if note else block


def _note(table: Table, measurements: Measurements, row: str, column: str) -> str:
    if table.picture is None:
        return ""
    metric, mean = table.metrics[table.picture], measurements[row, column, table.picture].mean
    return f"{metric.title} {'-' if mean is None else number(mean, metric.digits)}"
