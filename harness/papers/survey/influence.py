"""Table I of the survey: which factors change what each family of attacks recovers."""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated, Literal

from pydantic import Field

from harness.base.component import Component
from harness.base.files import write_atomically
from harness.base.numbers import Positive, Real
from harness.base.rows import pipes, to_csv
from harness.base.schema import EXPERIMENTS
from harness.base.statistics import FEWEST
from harness.base.statistics.comparison import MeanDifference, equivalence, paired
from harness.core import component
from harness.store.records import Store
from harness.tables.measurement import Outcome, finished
from harness.tables.reference import read
from harness.tables.supplement import Supplement

LEVEL = 0.05
METRIC = "psnr_unit"
NAMES = (
    *("family", "factor", "published", "here", "units", "difference", "ci_low", "ci_high"),
    *("p_less", "p_more", "p_equal", "run_ids"),
)


@component
class Factor(Component):
    """Two columns that differ in one thing: how much less is recovered under the second than under the first."""

    without: str
    under: str
    by: Literal["image", "client"] = "image"
    """What is compared with itself: an image (those of a client are one unit), or a client with other images."""


@dataclass(frozen=True)
class Reading:
    """What was read of one image: whose it is, which it is, and dB."""

    client: tuple[int, int]
    image: tuple[int, int]
    value: float


@dataclass(frozen=True)
class Influence:
    """What a factor does to a family's attack."""

    family: str
    factor: str
    published: bool | None
    """Whether the survey says that the attack depends on it."""
    found: MeanDifference | None
    """Under the factor less without it; None: no unit was attacked both times."""
    same: float
    """How likely such values are, were the difference at least the margin."""
    run_ids: tuple[str, ...]

    @property
    def here(self) -> str:
        found = self.found
        if found is None or found.n < FEWEST:
            return "not measured" if found is None else "too few"
        if self.same < LEVEL:
            return "no"
        return "yes" if found.below < LEVEL else "more" if found.above < LEVEL else "undecided"


@component
class InfluenceReport(Supplement):
    """families.md and families.csv (Guo et al. 2025, Table I): family by factor, whether the attack recovers less under
    it, beside what the survey says.

    yes: the mean is lower, one-sided t over units, p < .05; no: within `margin` of it, two one-sided tests, p < .05.
    """

    reference: str
    """Of the published letters, 1 or 0; relative to experiments/."""
    factors: Annotated[dict[str, Factor], Field(min_length=1)]
    margin: Positive = 1.0
    """dB that are of no consequence."""
    ceiling: Real = 40.0
    """dB beyond which an image can't be told from the original: more counts as so many."""

    def write(self, dataset: str, outcomes: Sequence[Outcome], store: Store, directory: Path) -> None:
        letters = next(iter(read(EXPERIMENTS / self.reference).values()))
        families = list(dict.fromkeys(outcome.cell.row for outcome in outcomes))
        found = [
            self._influence(outcomes, family, factor, letters.get((family, factor, "influence")))
            for family in families
            for factor in self.factors
        ]
        write_atomically(directory / "families.csv", to_csv([NAMES, *map(_line, found)]).encode())
        write_atomically(directory / "families.md", self._page(families, found, outcomes).encode())

    def _influence(
        self, outcomes: Sequence[Outcome], family: str, factor: str, letter: float | None
    ) -> Influence:
        pair = self.factors[factor]
        without, under = (finished(outcomes, family, column) for column in (pair.without, pair.under))
        before, after = (readings(each, self.ceiling) for each in (without, under))
        pairs = list(units(before, after, pair.by))
        ids, published = (*without, *under), None if letter is None else bool(letter)
        if not pairs:
            return Influence(family, factor, published, None, 1.0, ids)
        names, less, more = zip(*pairs, strict=True)
        test = equivalence(more, less, self.margin, names)
        return Influence(family, factor, published, paired(more, less, names), test.above, ids)

    def _page(self, families: Sequence[str], found: Sequence[Influence], outcomes: Sequence[Outcome]) -> str:
        by = {(each.family, each.factor): each for each in found}
        names, first = list(self.factors), next(iter(self.factors.values())).without
        lines = [
            (
                family,
                *(_told(by[family, name]) for name in names),
                _quality(finished(outcomes, family, first)),
            )
            for family in families
        ]
        judged = [each for each in found if each.here in ("yes", "no", "more") and each.published is not None]
        agree = sum((each.here == "yes") is each.published for each in judged)
        return (
            "## Which factors an attack depends on (Table I)\n\n"
            "*yes*: less is recovered under the factor (one-sided t over images or clients, p < .05); *no*: within "
            f"{self.margin:g} dB of as much (two one-sided tests, p < .05); *more*: more is. In brackets the "
            f"difference in dB with its 95 % interval and the number of units; more than {self.ceiling:g} dB count "
            "as so many. (y), (n): what the survey says. The runs of each are named in families.csv.\n\n"
            f"{pipes([('', *names, 'one image'), *lines])}\n\n"
            f"Of {len(found)} pairs {len(judged)} are decided; {agree} of these as the survey has it.\n"
        )


def readings(done: Mapping[str, Outcome], ceiling: float = math.inf) -> list[Reading]:
    """What was read of the images of a cell, but of those that were not looked for."""
    return [
        Reading((o.cell.seed, row["problem"]), (o.cell.seed, row["target"]), min(float(row[METRIC]), ceiling))
        for o in done.values()
        if o.record
        for row in o.record.rows
        if row.get(METRIC) is not None
    ]


def units(
    without: Sequence[Reading], under: Sequence[Reading], by: Literal["image", "client"]
) -> Iterator[tuple[Hashable, float, float]]:
    """Unit, value without and value under the factor, of all that was attacked both times."""
    if by == "image":
        before = {each.image: each.value for each in without}
        yield from ((e.client, before[e.image], e.value) for e in under if e.image in before)
        return
    clients = {each.client for each in without} & {each.client for each in under}
    for client in sorted(clients):
        less, more = (fmean(e.value for e in side if e.client == client) for side in (without, under))
        yield client, less, more


def _told(each: Influence) -> str:
    letter = {None: "", True: " (y)", False: " (n)"}[each.published]
    found = each.found
    if found is None or found.interval is None:
        return each.here + letter
    low, high = found.interval
    return f"*{each.here}*{letter} [{found.mean:+.1f}, {low:.1f} to {high:.1f}; {found.n}]"


def _line(each: Influence) -> tuple[object, ...]:
    found = each.found
    low, high = (found and found.interval) or (None, None)
    numbers = (
        (0, None, None, None, None, None)
        if found is None
        else (found.n, found.mean, low, high, found.below, found.above)
    )
    return (
        *(each.family, each.factor, each.published, each.here),
        *(*numbers, each.same, " ".join(each.run_ids)),
    )


def _quality(done: Mapping[str, Outcome]) -> str:
    found = readings(done)
    return f"{fmean(each.value for each in found):.1f} dB" if found else ""
