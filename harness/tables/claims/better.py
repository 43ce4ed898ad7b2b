"""A row is better than others: `GGL has the lowest MSE`."""

from collections.abc import Sequence

from typing_extensions import override

from harness.base.component import component
from harness.base.statistics.comparison import paired
from harness.tables.claims.claim import Claim, Comparison, Name
from harness.tables.claims.figures import Values, common, missing, p, share, spread, values
from harness.tables.layout import MetricColumn, TableLayout
from harness.tables.measurement import Measurements
from harness.tables.view import number


@component
class Better(Claim):
    """`row` is better than each of `over` in every metric and column named, image by image."""

    row: str
    columns: list[str] | None = None
    """Null: all columns."""
    over: list[str] | None = None
    """Null: all other rows."""

    @override
    def compare(self, table: TableLayout, measurements: Measurements) -> list[Comparison]:
        return [
            comparison
            for metric in self.metrics
            for column in self.columns or table.columns
            for comparison in self._column(table, measurements, metric, column)
        ]

    def _column(
        self, table: TableLayout, measurements: Measurements, metric: str, column: str
    ) -> list[Comparison]:
        shown, found = (
            table.metrics[metric],
            {row: measurements[row, column, metric] for row in self.rows(table)},
        )
        where = f"{shown.title}, {column}"
        absent = list(missing(where, found))
        if absent:
            return absent
        own, comparisons = found.pop(self.row), []
        for rival, theirs in found.items():
            images = common(own, theirs)
            mine, other = values(self.row, own, images), values(rival, theirs, images)
            comparisons.append(
                self.versus(where, table, shown, mine, other)
                if images
                else Comparison(where, f"{self.row} and {rival} have no image in common")
            )
        return comparisons

    def versus(
        self, where: str, table: TableLayout, shown: MetricColumn, mine: Values, other: Values
    ) -> Comparison:
        """The claimed row against another on the same images."""
        found = paired(mine.numbers, other.numbers, mine.units, shown.limits)
        sign = 1 if shown.higher_is_better else -1
        supports, contradicts = (found.above, found.below)[::sign]
        better = sum(sign * difference > 0 for difference in mine.less(other))
        told = f"better in {share(better, len(mine.numbers), found.n, table)}, {p(supports, found.n)}"
        figure = f"{beside(mine, other, shown)}, difference {spread(found, shown)}, {told}"
        return Comparison(where, figure, found.n, supports, contradicts, sign * found.effect)

    @override
    def names(self, rows: Sequence[str], columns: Sequence[str]) -> list[Name]:
        named = [("claimed row", row, list(rows)) for row in [self.row, *(self.over or [])]]
        return named + [("claimed column", column, list(columns)) for column in self.columns or []]

    @override
    def rows(self, table: TableLayout) -> list[str]:
        return [self.row, *self._rivals(list(table.rows))]

    @override
    def mistake(self, rows: Sequence[str]) -> str | None:
        return None if self._rivals(rows) else f"compares {self.row!r} with no other row"

    def _rivals(self, rows: Sequence[str]) -> list[str]:
        return [row for row in self.over or rows if row != self.row]


def beside(one: Values, other: Values, shown: MetricColumn) -> str:
    """Two rows with their means over the common images."""
    return " v ".join(f"{each.row} {number(each.mean, shown.digits)}" for each in (one, other))
