"""Data sets packed as sheets: large pictures that hold many small images side by side."""

import csv
import re
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
from pydantic import BeforeValidator
from torch import Tensor

from harness.base.memory import remembered
from harness.base.numbers import Fraction, Side
from harness.core import Dataset, Images, Shape, Split, UserError, component
from harness.datasets.files import damaged, image_size, listed, locate, read_image
from harness.datasets.names import quoted
from harness.datasets.splits import Part, Pool, cut, part_of, resized
from harness.datasets.statistics import Deviation, Mean
from harness.identity.digests import combined

TABLE = "labels.csv"


class Tile(NamedTuple):
    """Where one image lies: its sheet, its number on it (row by row), and its class as the files give it."""

    sheet: str
    number: int
    value: str


@component
class TileSheets(Dataset):
    """RGB images cut from sheets of square tiles, row by row.

    With a `label` column, the rows are those of FOLDER/labels.csv, which places each by columns `sheet` (a
    file name) and `tile`, or `split` and `index` (SPLIT_000.webp, SPLIT_001.webp, ... filled one after the
    other). Without one, each sheet is a class, whose number starts its file name (07_beetle.webp).
    """

    folder: str
    """Relative to the data folder."""
    tile: Side = 32
    """Pixels a side."""
    size: Side | None = None
    """Pixels a side of what is made of a tile, bilinear with antialiasing; null: the tile as it is."""
    label: str | None = None
    """The column of labels.csv that holds the class, as a name or as a number."""
    class_names: Annotated[tuple[str, ...], BeforeValidator(quoted)]
    """In the order of their numbers."""
    official: bool = False
    """Whether the column `split` (train, test) divides the rows; if not, one pool is cut in three."""
    mean: Mean
    """Per channel, on [0, 1]."""
    std: Deviation
    public_fraction: Fraction = 0.8
    """Of the rows that are not attacked: most of them, because generators need more images than victims."""

    @property
    def shape(self) -> Shape:
        side = self.size or self.tile
        return (3, side, side)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.class_names

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return self.mean, self.std

    def fingerprint(self, root: str | None, splits: Collection[Split]) -> str:
        """A digest of the sheets of the parts that the splits are from, and of the place and class of every tile."""
        try:
            folder = self._folder(root)
            parts = sorted({self._of(split) for split in splits})
            return combined(_digest(folder, self.tile, self.label, part) for part in parts)
        except UserError:  # `load` says what is missing
            return ""

    def load(self, split: Split, root: str | None) -> Images:
        part = self._of(split)
        pool = _pool(self._folder(root), self.tile, self.label, self.class_names, self.size, part)
        return cut(pool, split, self.public_fraction)

    def _folder(self, root: str | None) -> Path:
        return locate(root, [f"{self.folder}/{TABLE}" if self.label else self.folder]) / self.folder

    def _of(self, split: Split) -> Part:
        return part_of(split) if self.official else "all"


@remembered
def _pool(
    folder: Path, tile: int, label: str | None, names: tuple[str, ...], size: int | None, part: Part
) -> Pool:
    tiles = _tiles(folder, tile, label, part)
    known = {str(number): number for number in range(len(names))}
    known |= {name: number for number, name in enumerate(names)}
    strange = next((each for each in tiles if each.value not in known), None)
    if strange:
        raise UserError(
            f"{folder / strange.sheet}: {strange.value!r} is not in dataset.class_names ({', '.join(names)})"
        )
    labels = torch.tensor([known[each.value] for each in tiles], dtype=torch.int64)
    return resized(Pool(_pixels(folder, tile, tiles), labels, part), size)


@remembered
def _digest(folder: Path, size: int, label: str | None, part: Part) -> str:
    tiles = _tiles(folder, size, label, part)
    return listed(folder, ((str(folder / tile.sheet), tile.number, tile.value) for tile in tiles))


def _tiles(folder: Path, size: int, label: str | None, part: Part) -> list[Tile]:
    return _listed(folder, size, label, part) if label else _one_class_a_sheet(folder, size)


def _listed(folder: Path, size: int, label: str, part: Part) -> list[Tile]:
    """The tiles of labels.csv, in its order."""
    path = folder / TABLE
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        columns = set(rows[0]) if rows else set()
        place = {"sheet", "tile"} if "sheet" in columns else {"split", "index"}
        missing = (place | {label} | ({"split"} if part != "all" else set())) - columns
        if missing:
            raise UserError(
                f"{path} has no column {', '.join(sorted(missing))}; it has {', '.join(sorted(columns))}"
            )
        if part != "all":
            rows = [row for row in rows if row["split"] == part]
        if "sheet" in columns:
            return [Tile(row["sheet"], int(row["tile"]), row[label]) for row in rows]
        return _in_series(folder, size, label, rows)
    except (TypeError, ValueError, csv.Error) as error:  # a row cut short, a number that is none, no text
        raise damaged(path, error) from error


def _in_series(folder: Path, size: int, label: str, rows: list[dict[str, str]]) -> list[Tile]:
    """The tiles of sheets SPLIT_000, SPLIT_001, ... that are filled one after the other."""
    per_sheet = {
        split: _count(folder / f"{split}_000.webp", size) for split in {row["split"] for row in rows}
    }
    placed = [(row, *divmod(int(row["index"]), per_sheet[row["split"]])) for row in rows]
    return [Tile(f"{row['split']}_{sheet:03d}.webp", number, row[label]) for row, sheet, number in placed]


def _one_class_a_sheet(folder: Path, size: int) -> list[Tile]:
    """Every tile of every sheet, in the order of the file names, which start with the number of the class."""
    numbered = [(path, re.match(r"\d+", path.name)) for path in sorted(folder.glob("*.webp"))]
    if not numbered:
        raise UserError(
            f"{folder} has no sheets (07_beetle.webp: class 7); use dataset=digits32, which needs no files"
        )
    nameless = next((path for path, number in numbered if number is None), None)
    if nameless:
        raise UserError(f"{nameless}: the file name does not start with the number of its class")
    return [
        Tile(path.name, tile, str(int(number.group())))
        for path, number in numbered
        if number
        for tile in range(_count(path, size))
    ]


def _pixels(folder: Path, size: int, tiles: list[Tile]) -> Tensor:
    """The tiles [n, 3, size, size] uint8, each sheet decoded once and then let go."""
    places = defaultdict(list)
    for position, tile in enumerate(tiles):
        places[tile.sheet].append((position, tile.number))
    pixels = torch.empty(len(tiles), 3, size, size, dtype=torch.uint8)
    for sheet, pairs in places.items():
        cells = _cells(folder / sheet, size)
        positions, numbers = torch.tensor(pairs).T
        if int(numbers.min()) < 0 or int(numbers.max()) >= len(cells):
            raise damaged(folder / sheet, f"{len(cells)} tiles, but {TABLE} names tile {int(numbers.max())}")
        pixels[positions] = cells[numbers]
    return pixels


def _cells(path: Path, size: int) -> Tensor:
    """All tiles [rows * columns, 3, size, size] of one sheet."""
    import numpy

    sheet = torch.from_numpy(numpy.array(read_image(path)))
    rows, columns = _grid(path, size, sheet.shape[1], sheet.shape[0])
    return sheet.reshape(rows, size, columns, size, 3).permute(0, 2, 4, 1, 3).flatten(0, 1)


def _count(path: Path, size: int) -> int:
    """How many tiles a sheet has, from its header alone."""
    rows, columns = _grid(path, size, *image_size(path))
    return rows * columns


def _grid(path: Path, size: int, width: int, height: int) -> tuple[int, int]:
    if width % size or height % size:
        raise UserError(
            f"{path}: {width}x{height} pixels can't be cut into tiles of {size}x{size} (dataset.tile)"
        )
    return height // size, width // size
