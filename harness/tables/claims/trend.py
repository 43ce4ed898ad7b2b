"""A metric gets worse (or better) as a factor grows: `larger batches are harder to invert`."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import override

from harness.base.component import component
from harness.base.statistics.comparison import paired
from harness.base.statistics.trend import jonckheere, page
from harness.tables.claims.claim import Claim, Comparison, Name
from harness.tables.claims.figures import missing, p, share, spread
from harness.tables.layout import MetricColumn, TableLayout
from harness.tables.measurement import Measurement, Measurements
from harness.tables.view import number

Axis = Literal["rows", "columns"]
Units = Mapping[Hashable, float]
"""The mean of each independent unit."""


@component
class Trend(Claim):
    """Every metric gets worse along `levels`, under each of `within`.

    Page's test where every level attacks the same images, else Jonckheere's.
    """

    along: Axis
    """Whether the levels are rows or columns of the table."""
    levels: Annotated[list[str], Field(min_length=3)]
    """From the least of the factor to the most."""
    within: list[str] | None = None
    """On the other axis; null: all of it."""
    better: bool = False
    """Whether the claim is that it gets better."""

    @override
    def compare(self, table: TableLayout, measurements: Measurements) -> list[Comparison]:
        return [
            comparison
            for metric in self.metrics
            for place in self._places(table)
            for where in [f"{table.metrics[metric].title}, {place}"]
            for found in [{level: measurements[*self._key(level, place), metric] for level in self.levels}]
            for comparison in list(missing(where, found)) or [self._along(where, table, metric, found)]
        ]

    def _along(
        self, where: str, table: TableLayout, metric: str, found: "Mapping[str, Measurement]"
    ) -> Comparison:
        shown = table.metrics[metric]
        rising = shown.higher_is_better == self.better
        levels = [_units(measurement) for measurement in found.values()]
        same = [unit for unit in levels[0] if all(unit in level for level in levels)]
        test = page([[level[unit] for level in levels] for unit in same]) if same else jonckheere(levels)
        way = 1 if rising else -1
        supports, contradicts = (test.rising, test.falling)[::way]
        means = " → ".join(number(sum(level.values()) / len(level), shown.digits) for level in levels)
        figure = (
            f"{means}, {self._ends(table, shown, levels, same, rising)}, {test.name}, {p(supports, test.n)}"
        )
        return Comparison(where, figure, test.n, supports, contradicts, way * test.z / math.sqrt(test.n))

    def _ends(
        self,
        table: TableLayout,
        shown: MetricColumn,
        levels: Sequence[Units],
        same: Sequence[Hashable],
        rising: bool,
    ) -> str:
        """The difference of the last level from the first, where all are of the same images."""
        if not same:
            return f"{', '.join(str(len(level)) for level in levels)} different {table.independent}s"
        first, last = ([level[unit] for unit in same] for level in (levels[0], levels[-1]))
        moved = sum((b > a) if rising else (b < a) for a, b in zip(first, last, strict=True))
        told = f"{'up' if rising else 'down'} in {share(moved, len(same), len(same), table)}"
        return f"last less first {spread(paired(last, first), shown)}, {told}"

    def _places(self, table: TableLayout) -> list[str]:
        return self.within or list(table.columns if self.along == "rows" else table.rows)

    def _key(self, level: str, place: str) -> tuple[str, str]:
        return (level, place) if self.along == "rows" else (place, level)

    @override
    def names(self, rows: Sequence[str], columns: Sequence[str]) -> list[Name]:
        axes = {"rows": ("claimed row", list(rows)), "columns": ("claimed column", list(columns))}
        (kind, known), ((other, places),) = axes.pop(self.along), axes.values()
        named = [(kind, name, known) for name in self.levels]
        return named + [(other, name, places) for name in self.within or []]

    @override
    def rows(self, table: TableLayout) -> list[str]:
        return self.levels if self.along == "rows" else self._places(table)


def _units(measurement: "Measurement") -> Units:
    """The mean of each independent unit."""
    values: dict[Hashable, list[float]] = {}
    for image, value in measurement.values.items():
        if value is not None:
            values.setdefault(measurement.unit(image), []).append(float(value))
    return {unit: sum(each) / len(each) for unit, each in values.items()}
