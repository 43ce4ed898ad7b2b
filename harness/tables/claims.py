"""The paper's claims, held against what was measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.tables.measurement import Measurement, Measurements
from harness.tables.spec import Claim, MetricColumn, Table
from harness.tables.view import number


@dataclass(frozen=True)
class Verdict:
    """Whether a claim holds, and the comparisons of means that say so."""

    text: str
    status: Literal["holds", "does not hold", "not measured"]
    figures: tuple[str, ...]


@dataclass(frozen=True)
class _Comparison:
    figure: str
    holds: bool | None
    """None: a number is missing."""


def judge(claim: Claim, table: Table, measurements: Measurements) -> Verdict:
    """A claim fails when one of its comparisons fails, and holds when all are measured and hold.

    Means are compared; beside them stands in how many of the common images the comparison holds.
    """
    columns = list(table.columns) if claim.columns is None else claim.columns
    compare = _with_others if claim.bound is None else _with_bound
    comparisons = [
        compare(claim, table, measurements, metric, column) for metric in claim.metrics for column in columns
    ]
    results = [comparison.holds for comparison in comparisons]
    figures = tuple(comparison.figure for comparison in comparisons)
    if False in results:
        return Verdict(claim.text, "does not hold", figures)
    return Verdict(claim.text, "holds" if all(results) else "not measured", figures)


def _better(metric: MetricColumn, one: float, other: float) -> bool:
    return one > other if metric.higher_is_better else one < other


def _with_bound(
    claim: Claim, table: Table, measurements: Measurements, metric: str, column: str
) -> _Comparison:
    shown, bound = table.metrics[metric], claim.bound
    where, mean = f"{shown.title}, {column}", measurements[claim.row, column, metric].mean
    if mean is None or bound is None:
        return _Comparison(f"{where}: no value", None)
    figure = f"{where}: {claim.row} {number(mean, shown.digits)} v {bound:g}"
    return _verdict(figure, _better(shown, mean, bound))


def _with_others(
    claim: Claim, table: Table, measurements: Measurements, metric: str, column: str
) -> _Comparison:
    """The claimed row against the best of the others."""
    shown, own = table.metrics[metric], measurements[claim.row, column, metric]
    names = claim.rivals(table.rows)
    others = {row: measurements[row, column, metric] for row in names}
    means = {row: other.mean for row, other in others.items() if other.mean is not None}
    where = f"{shown.title}, {column}"
    if own.mean is None or len(means) < len(others):
        missing = [row for row in names if row not in means] + [claim.row] * (own.mean is None)
        return _Comparison(f"{where}: no value for {', '.join(missing)}", None)
    rival = (max if shown.higher_is_better else min)(means, key=lambda row: means[row])
    mine, best = number(own.mean, shown.digits), number(means[rival], shown.digits)
    figure = f"{where}: {claim.row} {mine} v {rival} {best}{_paired(shown, own, others[rival])}"
    return _verdict(figure, _better(shown, own.mean, means[rival]))


def _paired(shown: MetricColumn, own: Measurement, other: Measurement) -> str:
    """In how many images, of those that both attacked, the comparison holds."""
    pairs = [(value, other.values.get(image)) for image, value in own.values.items()]
    common = [(one, two) for one, two in pairs if one is not None and two is not None]
    if not common:
        return ""
    return f" ({sum(_better(shown, one, two) for one, two in common)} of {len(common)} images)"


def _verdict(figure: str, holds: bool) -> _Comparison:
    return _Comparison(figure if holds else f"{figure}, fails", holds)


def judge_all(table: Table, dataset: str, measurements: Measurements) -> Sequence[Verdict]:
    """A verdict for each of the paper's claims about what it measured in place of a dataset of ours."""
    theirs = table.reference and table.reference.dataset(dataset)
    claims = [claim for claim in table.claims if claim.published in (None, theirs)]
    return [judge(claim, table, measurements) for claim in claims]
