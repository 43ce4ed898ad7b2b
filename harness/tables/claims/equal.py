"""Rows that do not differ by more than a margin: `feedback is no better than a grey start`."""

from typing_extensions import override

from harness.base.component import component
from harness.base.numbers import Positive
from harness.base.statistics.comparison import equivalence
from harness.tables.claims.better import Better, beside
from harness.tables.claims.claim import Comparison
from harness.tables.claims.figures import Values, p, share, spread
from harness.tables.layout import MetricColumn, TableLayout


@component
class Equal(Better):
    """`row` differs by less than `margin` from each of `over`: two one-sided tests (TOST; Schuirmann 1987)."""

    margin: Positive
    """In the unit of the metrics."""

    @override
    def versus(
        self, where: str, table: TableLayout, shown: MetricColumn, mine: Values, other: Values
    ) -> Comparison:
        found = equivalence(mine.numbers, other.numbers, self.margin, mine.units, shown.limits)
        near = sum(abs(difference) < self.margin for difference in mine.less(other))
        told = f"within {self.margin:g} in {share(near, len(mine.numbers), found.n, table)}, {p(found.above, found.n)}"
        figure = f"{beside(mine, other, shown)}, difference {spread(found, shown)}, {told}"
        return Comparison(where, figure, found.n, found.above, found.below, found.effect)
