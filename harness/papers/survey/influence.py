"""Table I of the survey: which factors change what each family of attacks recovers."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.base.component import Component
from harness.base.files import write_atomically
from harness.base.numbers import Positive, Real
from harness.base.rows import Row, pipes, to_csv
from harness.base.schema import EXPERIMENTS
from harness.base.statistics import FEWEST
from harness.base.statistics.comparison import MeanDifference, equivalence, paired
from harness.core import UserError, component
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
    factors: Mapping[str, Factor]
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
        units = list(_units(_values(without, self.ceiling), _values(under, self.ceiling), pair.by))
        ids, published = (*without, *under), None if letter is None else bool(letter)
        if not units:
            return Influence(family, factor, published, None, 1.0, ids)
        names, less, more = zip(*units, strict=True)
        test = equivalence(more, less, self.margin, names)
        return Influence(family, factor, published, paired(more, less, names), test.above, ids)

    def _page(self, families: Sequence[str], found: Sequence[Influence], outcomes: Sequence[Outcome]) -> str:
        by = {(each.family, each.factor): each for each in found}
        names = [name for name in self.factors if any((family, name) in by for family in families)]
        lines = [
            (family, *(_told(by[family, name]) for name in names), _quality(outcomes, family, self.factors))
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


def _values(done: Mapping[str, Outcome], ceiling: float) -> list[tuple[Row, float]]:
    """The rows of a cell with their dB, but for images that were not looked for."""
    rows = [row for outcome in done.values() if outcome.record for row in outcome.record.rows]
    return [(row, min(float(row[METRIC]), ceiling)) for row in rows if row.get(METRIC) is not None]


def _units(
    without: Sequence[tuple[Row, float]], under: Sequence[tuple[Row, float]], by: Literal["image", "client"]
) -> Iterator[tuple[Hashable, float, float]]:
    """Unit, value without and value under the factor, of all that was attacked both times."""
    if by == "image":
        before = {row["target"]: value for row, value in without}
        for row, value in under:
            if row["target"] in before:
                yield row["problem"], before[row["target"]], value
        return
    clients: dict[Hashable, tuple[list[float], list[float]]] = {}
    for side, rows in enumerate((without, under)):
        for row, value in rows:
            clients.setdefault(row["problem"], ([], []))[side].append(value)
    for client, (less, more) in clients.items():
        if less and more:
            yield client, sum(less) / len(less), sum(more) / len(more)


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


def _quality(outcomes: Sequence[Outcome], family: str, factors: Mapping[str, Factor]) -> str:
    """What is recovered of the clients that the first factor leaves alone."""
    if not factors:
        raise UserError("influence: name a factor at least")
    done = finished(outcomes, family, next(iter(factors.values())).without)
    values = [float(row[METRIC]) for row, _ in _values(done, 0.0)]
    return f"{sum(values) / len(values):.1f} dB" if values else ""
