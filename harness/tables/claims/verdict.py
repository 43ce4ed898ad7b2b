"""What becomes of a claim: holds, does not hold, undecided, not measured, not judged."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.base.statistics.comparison import MANY, holm, images
from harness.tables.claims.claim import Claim, Comparison
from harness.tables.claims.figures import p
from harness.tables.measurement import Measurements
from harness.tables.spec import Table

Status = Literal["holds", "does not hold", "undecided", "not measured", "not judged"]

LEVEL = 0.05
UNJUDGED = frozenset({"smoke"})
"""Scales that prove that everything runs, and whose numbers mean nothing."""


@dataclass(frozen=True)
class Verdict:
    """What becomes of a claim, and the comparisons that say so."""

    text: str
    status: Status
    figures: tuple[str, ...]
    note: str = ""
    """What qualifies it: how many images would decide it, a budget far below the paper's."""

    @property
    def said(self) -> str:
        """The status with what qualifies it."""
        return f"{self.status}, {self.note}" if self.note else self.status


def judge(
    claim: Claim, table: Table, measurements: Measurements, scale: str = "", poor: Collection[str] = ()
) -> Verdict:
    """The verdict on a claim, at a scale where the rows `poor` had less than half of the paper's budget.

    It holds when each of its comparisons has p < .05 (an intersection of unions needs no correction). It does not
    hold when the opposite of one has, after Holm's correction. Comparisons of fewer than five images decide nothing.
    """
    if scale in UNJUDGED:
        return Verdict(claim.text, "not judged", ())
    comparisons = claim.compare(table, measurements)
    status = decide(comparisons)
    notes = [_needed(comparisons, table.independent)] if status == "undecided" else []
    if status in ("holds", "does not hold", "undecided") and set(claim.rows(table)) & set(poor):
        notes.append("at this budget")
    return Verdict(claim.text, status, _figures(comparisons), ", ".join(filter(None, notes)))


def decide(comparisons: Sequence[Comparison]) -> Status:
    """The verdict that some comparisons make together."""
    if _refuted(comparisons):
        return "does not hold"
    if not all(comparison.n for comparison in comparisons):
        return "not measured"
    if all(comparison.enough and comparison.supports < LEVEL for comparison in comparisons):
        return "holds"
    return "undecided"


def _refuted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Those whose opposite is shown, in spite of their number."""
    able = [comparison for comparison in comparisons if comparison.enough]
    corrected = holm([comparison.contradicts for comparison in able])
    return [each for each, value in zip(able, corrected, strict=True) if value < LEVEL]


def _needed(comparisons: Sequence[Comparison], unit: str) -> str:
    """About how many images would decide a claim, were the spread and the differences those seen so far.

    To refute takes one comparison, so that the least number counts; to confirm takes all of them.
    """
    against = [each for each in comparisons if each.effect < 0]
    counts = [images(-each.effect, LEVEL / len(comparisons)) for each in against]
    if against:
        found = min((count for count in counts if count is not None), default=None)
    else:
        counts = [images(each.effect, LEVEL) for each in comparisons]
        found = None if None in counts else max(count for count in counts if count is not None)
    if found is None:
        return f"and more than {MANY:,} {unit}s would not decide it"
    return f"about {max(found, 1 + max(each.n for each in comparisons))} {unit}s would decide it"


def _figures(comparisons: Sequence[Comparison]) -> tuple[str, ...]:
    """Of every metric and column what refutes the claim, and the least sure of the rest."""
    refuted = _refuted(comparisons)
    found: dict[str, list[Comparison]] = {}
    for each in comparisons:
        found.setdefault(each.where, []).append(each)
    return tuple(text for several in found.values() for text in _written(several, refuted))


def _written(several: Sequence[Comparison], refuted: Sequence[Comparison]) -> Iterator[str]:
    opposite = [each for each in several if each in refuted]
    for each in opposite:
        yield f"{each.where}: {each.figure}; the opposite has {p(each.contradicts, each.n)}"
    rest = [each for each in several if each not in opposite]
    if rest and not opposite:
        least = max(rest, key=lambda each: (not each.n, each.supports))
        yield f"{least.where}: {least.figure}{f'; the least of {len(rest)}' if len(rest) > 1 else ''}"


def judge_all(
    table: Table, dataset: str, scale: str, measurements: Measurements, poor: Collection[str] = ()
) -> list[Verdict]:
    """A verdict for each of the paper's claims about what it measured in place of a dataset of ours."""
    theirs = table.reference and table.reference.dataset(dataset)
    claims = [claim for claim in table.claims if claim.published in (None, theirs)]
    return [judge(claim, table, measurements, scale, poor) for claim in claims]
