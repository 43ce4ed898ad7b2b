"""A column is worst for its rows: `clipping and noise together leave the lowest PSNR`."""

from collections.abc import Sequence

from typing_extensions import override

from harness.base.component import component
from harness.base.statistics.comparison import paired
from harness.tables.claims.better import beside
from harness.tables.claims.claim import Claim, Comparison, Name
from harness.tables.claims.figures import Values, common, missing, p, share, spread, values
from harness.tables.layout import MetricColumn, TableLayout
from harness.tables.measurement import Measurements


@component
class Lowest(Claim):
    """Under `column` every metric is worse than under each of `over`, image by image, for each of `within`."""

    column: str
    over: list[str] | None = None
    """Null: all other columns."""
    within: list[str] | None = None
    """Rows; null: all of them."""

    @override
    def compare(self, table: TableLayout, measurements: Measurements) -> list[Comparison]:
        return [
            self._pair(table, measurements, metric, row, other)
            for metric in self.metrics
            for row in self.rows(table)
            for other in self.over or table.columns
            if other != self.column
        ]

    def _pair(
        self, table: TableLayout, measurements: Measurements, metric: str, row: str, other: str
    ) -> Comparison:
        shown, where = table.metrics[metric], f"{table.metrics[metric].title}, {row}"
        found = {name: measurements[row, name, metric] for name in (self.column, other)}
        own, theirs = found.values()
        images = common(own, theirs)
        if absent := next(missing(where, found), None):
            return absent
        if not images:
            return Comparison(where, f"{self.column} and {other} have no image in common")
        mine, rival = values(self.column, own, images), values(other, theirs, images)
        return self._versus(where, table, shown, mine, rival)

    def _versus(
        self, where: str, table: TableLayout, shown: MetricColumn, mine: Values, other: Values
    ) -> Comparison:
        found = paired(mine.numbers, other.numbers, mine.units, shown.limits)
        sign = -1 if shown.higher_is_better else 1
        supports, contradicts = (found.above, found.below)[::sign]
        worse = sum(sign * difference > 0 for difference in mine.less(other))
        told = f"worse in {share(worse, len(mine.numbers), found.n, table)}, {p(supports, found.n)}"
        figure = f"{beside(mine, other, shown)}, difference {spread(found, shown)}, {told}"
        return Comparison(where, figure, found.n, supports, contradicts, sign * found.effect)

    @override
    def names(self, rows: Sequence[str], columns: Sequence[str]) -> list[Name]:
        named = [("claimed column", column, list(columns)) for column in [self.column, *(self.over or [])]]
        return named + [("claimed row", row, list(rows)) for row in self.within or []]

    @override
    def rows(self, table: TableLayout) -> list[str]:
        return self.within or list(table.rows)
