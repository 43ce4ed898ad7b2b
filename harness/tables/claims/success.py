"""How often a row succeeds: `DLG recovers more than nine of ten images`."""

from typing_extensions import override

from harness.base.component import component
from harness.base.numbers import Fraction
from harness.base.statistics.comparison import single
from harness.tables.claims.bound import Bound
from harness.tables.claims.claim import Comparison
from harness.tables.claims.figures import Values, p, share
from harness.tables.layout import MetricColumn, TableLayout


@component
class Success(Bound):
    """The share of images of which the metric is as good as `bound`, or better, is above `rate`; or below it."""

    rate: Fraction
    below: bool = False
    """Whether the claim is that the share is less."""

    @override
    def against(self, where: str, table: TableLayout, shown: MetricColumn, own: Values) -> Comparison:
        sign = 1 if shown.higher_is_better else -1
        hits = [sign * float(value) >= sign * self.bound for value in own.numbers]
        found = single(hits, self.rate, own.units)
        supports, contradicts = (found.above, found.below)[:: -1 if self.below else 1]
        beyond = f"{'≥' if shown.higher_is_better else '≤'} {self.bound:g}"
        interval = " ({:.1%} to {:.1%})".format(*found.interval) if found.interval else ""
        figure = (
            f"{self.row} {beyond} in {share(sum(hits), len(hits), found.n, table)}, {found.mean:.1%}{interval} "
            f"v {self.rate:.0%}, {p(supports, found.n)}"
        )
        return Comparison(
            where, figure, found.n, supports, contradicts, (-1 if self.below else 1) * found.effect
        )
