"""A row is beyond a number: `GGL's PSNR is above 10.1 dB`."""

from collections.abc import Sequence

from typing_extensions import override

from harness.base.component import component
from harness.base.numbers import Real
from harness.base.statistics.comparison import single
from harness.tables.claims.claim import Claim, Comparison, Name
from harness.tables.claims.figures import Values, missing, p, share, spread, values
from harness.tables.layout import MetricColumn, TableLayout
from harness.tables.measurement import Measurements


@component
class Bound(Claim):
    """The mean of `row` is better than `bound`, in every metric and column named."""

    row: str
    bound: Real
    columns: list[str] | None = None
    """Null: all columns."""

    @override
    def compare(self, table: TableLayout, measurements: Measurements) -> list[Comparison]:
        return [
            comparison
            for metric in self.metrics
            for column in self.columns or table.columns
            for where in [f"{table.metrics[metric].title}, {column}"]
            for found in [measurements[self.row, column, metric]]
            for comparison in list(missing(where, {self.row: found}))
            or [self.against(where, table, table.metrics[metric], values(self.row, found))]
        ]

    def against(self, where: str, table: TableLayout, shown: MetricColumn, own: Values) -> Comparison:
        """The row's values against the number."""
        found = single(own.numbers, self.bound, own.units)
        sign = 1 if shown.higher_is_better else -1
        supports, contradicts = (found.above, found.below)[::sign]
        beyond = sum(sign * (float(value) - self.bound) > 0 for value in own.numbers)
        told = f"beyond it in {share(beyond, len(own.numbers), found.n, table)}, {p(supports, found.n)}"
        figure = f"{self.row} {spread(found, shown)} v {self.bound:g}, {told}"
        return Comparison(where, figure, found.n, supports, contradicts, sign * found.effect)

    @override
    def names(self, rows: Sequence[str], columns: Sequence[str]) -> list[Name]:
        named = [("claimed row", self.row, list(rows))]
        return named + [("claimed column", column, list(columns)) for column in self.columns or []]

    @override
    def rows(self, table: TableLayout) -> list[str]:
        return [self.row]
