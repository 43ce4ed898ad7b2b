"""From the runs of a table to one measurement per row, column and metric."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from harness.base.errors import warn
from harness.base.rows import to_csv
from harness.base.statistics import Statistic, statistic
from harness.config.experiment import Experiment
from harness.core import Record
from harness.store.frames import listed
from harness.store.integrity import Damaged
from harness.store.iterates import Report
from harness.store.records import Store, Trace
from harness.tables.layout import Cell, TableLayout
from harness.tables.reference import Published

Key = tuple[str, str, str]
"""Row, column, metric."""
Image = tuple[int, int, int]
"""Seed of the table, problem and place in the batch: the same image for every attack."""


@dataclass(frozen=True)
class Outcome:
    """What became of a cell: its record, or why there is none."""

    cell: Cell
    id: str
    config: Mapping[str, Any]
    record: Record | None = None
    failure: str | None = None
    experiment: Experiment | None = None

    @property
    def report(self) -> Report:
        """Which iterate the record's rows are of."""
        return "best" if self.experiment is None else self.experiment.report

    def images(self, store: Store) -> dict[str, Tensor]:
        """The images that the record's rows are of: NaN, and said, where their file is damaged."""
        assert self.record is not None
        count = len(self.record.rows)
        try:
            return store.images(self.id, self.report, count)
        except Damaged as damage:
            if self.experiment is None:
                raise
            warn(f"{damage}; its pictures are grey here")
            shape = self.experiment.dataset.shape if self.experiment.attack.reconstructs_images else (1,)
            return {name: torch.full((count, *shape), math.nan) for name in ("truth", "reconstruction")}

    def traces(self, store: Store) -> dict[int, Trace]:
        """The course of the loss by problem: none, and said, where its file is damaged."""
        try:
            return store.traces(self.id)
        except Damaged as damage:
            warn(f"{damage}; its course is left out here")
            return {}


@dataclass(frozen=True)
class Measurement:
    """A metric of a row under a column: the images' values, their statistics, the published number."""

    values: Mapping[Image, float | None]
    statistic: Statistic | None
    published: float | None
    run_ids: tuple[str, ...]
    units: Mapping[Image, Hashable] = field(default_factory=dict)
    """The independent unit that an image belongs to; by default each is one by itself."""

    def unit(self, image: Image) -> Hashable:
        return self.units.get(image, image)

    @property
    def mean(self) -> float | None:
        return None if self.statistic is None else self.statistic.mean

    @property
    def inside(self) -> bool | None:
        """Whether the published number is inside the measured interval; None where there is no such pair."""
        s = self.statistic
        if s is None or s.low is None or s.high is None or self.published is None:
            return None
        return s.low <= self.published <= s.high

    @property
    def ratio(self) -> float | None:
        """Measured / published, where both are above zero: else it would say nothing."""
        if self.mean is None or self.published is None or self.mean <= 0 or self.published <= 0:
            return None
        return self.mean / self.published


Measurements = Mapping[Key, Measurement]


def measure(table: TableLayout, outcomes: Sequence[Outcome], published: Published) -> dict[Key, Measurement]:
    """Every row, column and metric of the table, in its order; what was not measured has no statistic."""
    found = {}
    for row in table.rows:
        for column in table.columns:
            done = finished(outcomes, row, column)
            for metric in table.metrics:
                key = (row, column, metric)
                found[key] = _measurement(table, metric, done, published.get(key))
    return found


def finished(outcomes: Sequence[Outcome], row: str, column: str) -> dict[str, Outcome]:
    """The finished runs behind a row and a column by id, each once."""
    chosen = [o for o in outcomes if o.record and (o.cell.row, o.cell.column) == (row, column)]
    return {outcome.id: outcome for outcome in chosen}


def _measurement(
    table: TableLayout, metric: str, done: Mapping[str, Outcome], published: float | None
) -> Measurement:
    rows = images(done)
    values = {image: row.get(metric) for image, row in rows.items()}
    units = {image: _unit(table, image, row) for image, row in rows.items()}
    found = statistic(list(values.values()), list(units.values()))
    return Measurement(values, found, published, tuple(done), units)


def _unit(table: TableLayout, image: Image, row: Mapping[str, Any]) -> Hashable:
    """What an image is drawn with: its other seeds, the others of its client or seed, or those attacked next to it."""
    seed, problem, _ = image
    match table.independent:
        case "image":
            target: Hashable = row.get("target", image)
            return target
        case "client":
            return seed, problem
        case "block":
            return seed, problem // table.block
        case "seed":
            return seed


def images(done: Mapping[str, Outcome]) -> dict[Image, dict[str, Any]]:
    """The rows of some runs, one per image."""
    return {
        (outcome.cell.seed, row["problem"], row["image"]): row
        for outcome in done.values()
        if outcome.record
        for row in outcome.record.rows
    }


COLUMNS = (
    *("row", "column", "metric", "n", "mean", "std", "ci_low", "ci_high", "values"),
    *("published", "inside", "ratio", "run_ids"),
)


def cells_csv(measurements: Measurements) -> str:
    """cells.csv: one line per measurement, empty where there is no number, run ids separated by spaces.

    `values` has those of the independent units where they are too few for an interval; `inside` says whether the
    published number is in the interval, `ratio` is measured / published.
    """
    lines: list[Sequence[object]] = [COLUMNS]
    for key, measurement in measurements.items():
        s = measurement.statistic
        numbers = [0, *[None] * 5] if s is None else [s.n, s.mean, s.std, s.low, s.high, listed(s.values)]
        beside = [measurement.published, measurement.inside, measurement.ratio]
        lines.append([*key, *numbers, *beside, " ".join(measurement.run_ids)])
    return to_csv(lines)
