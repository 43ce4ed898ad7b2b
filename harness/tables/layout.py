"""What a table compares: rows x columns x seeds, its metrics and where its published numbers are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from harness.base.numbers import Count, Natural, Real, Seed
from harness.cells.plan import latest
from harness.core import component

Overrides = list[str]

BLOCK = 50
"""Successive images that are drawn together where an attack learns from earlier ones, which makes them dependent."""


@component
class MetricColumn:
    """A metric as the table shows it."""

    title: str
    higher_is_better: bool
    digits: Annotated[Natural, Field(le=17)] = 4
    missing: str = ""
    """Why there may be no value, said once below the table."""
    limits: tuple[Real, Real] | None = None
    """Between what numbers every value lies; null: nothing bounds a difference."""


@component
class Reference:
    """Where the published numbers are, and which of them stand beside a dataset of ours."""

    file: str
    """Columns dataset, row, column, metric, published; relative to experiments/."""
    name: str
    """How a caption cites them."""
    datasets: dict[str, str] = field(default_factory=dict)
    default: str | None = None
    """The published dataset for all others; null: none is shown."""

    def dataset(self, ours: str) -> str | None:
        return self.datasets.get(ours, self.default)


@component
class Delta:
    """Overrides that a scale, or a dataset at that scale, adds."""

    base: Overrides = field(default_factory=list)
    rows: dict[str, Overrides] = field(default_factory=dict)
    columns: dict[str, Overrides] = field(default_factory=dict)


@component
class ScaleDelta(Delta):
    """What a scale changes, in general and for single datasets."""

    datasets: dict[str, Delta] = field(default_factory=dict)


@component
class Only:
    """Rows and columns whose cells are made; none named: all. Others are shown as far as they are stored."""

    rows: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Cell:
    """One run of a table: a row under a column with one seed, and the overrides that make it."""

    row: str
    column: str
    seed: int
    overrides: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.row} x {self.column}"


@component
class TableLayout:
    """What a table compares: its rows and columns, each a list of settings, and the metrics that are shown."""

    name: str = Field(pattern=r"^[\w-]{1,100}$")
    """Of its folder in results/."""
    title: str
    source: str
    metrics: dict[str, MetricColumn]
    rows: Annotated[dict[str, Overrides], Field(min_length=1)]
    columns: Annotated[dict[str, Overrides], Field(min_length=1)]
    base: Overrides = field(default_factory=list)
    seeds: list[Seed] = field(default_factory=lambda: [0])
    scales: dict[str, ScaleDelta] = field(default_factory=dict)
    reference: Reference | None = None
    notes: dict[str, str] = field(default_factory=dict)
    """A line below the table for a dataset or a scale, by its name; `all` is for every table."""
    comparable: bool = True
    """Whether the rows attack the same images: only then is the best of a column set in bold, and one gallery made."""
    independent: Literal["image", "client", "block", "seed"] = "image"
    """What is drawn by itself, and so is a unit of every interval and test: an image with its seeds, a client with all
    its images, a block of successive images, where an attack learns from earlier ones, or a seed, where each attacks
    the same images."""
    block: Count = BLOCK
    """How many successive images are a block."""
    budget: Literal["own", "equal"] = "own"
    """Evaluations of a row for an image: as many as it sets, or in all rows as many as in the one with the fewest."""
    picture: str | None = None
    """The metric whose mean stands under the pictures of the gallery."""
    only: Only = field(default_factory=Only)

    def cells(
        self, dataset: str, scale: str, user: Sequence[str] = (), seeds: Sequence[int] | None = None
    ) -> list[Cell]:
        """Every run, row by row. Later overrides win: base, scale, dataset, row, column, what the scale and
        the dataset add to them, the seed, and last the user's own."""
        general = self.scales.get(scale, ScaleDelta())
        deltas: tuple[Delta, ...] = (general, general.datasets.get(dataset, Delta()))
        chosen = [f"dataset={dataset}", f"scale={scale}", *self.base]
        chosen += [override for delta in deltas for override in delta.base]
        return [
            Cell(row, column, seed, latest([*chosen, *settings, f"seed={seed}", *user]))
            for row in self.rows
            for column in self.columns
            for settings in [self.rows[row] + self.columns[column] + _added(deltas, row, column)]
            for seed in (self.seeds if seeds is None else seeds)
        ]

    def makes(self, cell: Cell) -> bool:
        """Whether a cell is to be made, should it not be stored."""
        rows, columns = self.only.rows or self.rows, self.only.columns or self.columns
        return cell.row in rows and cell.column in columns


def _added(deltas: Sequence[Delta], row: str, column: str) -> Overrides:
    by_row = [override for delta in deltas for override in delta.rows.get(row, [])]
    return by_row + [override for delta in deltas for override in delta.columns.get(column, [])]
