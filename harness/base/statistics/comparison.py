"""How two rows differ on the same images, or a row from a number; and how many images would decide it."""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import numpy

from harness.base.statistics.intervals import Interval, bootstrap, newcombe, student, wilson
from harness.base.statistics.summary import FEWEST, effective, grouped, true_or_false

Limits = tuple[float, float]
"""Between what numbers a metric's values lie."""


@dataclass(frozen=True)
class MeanDifference:
    """A mean over n independent units, and the one-sided p of what it is more, and less, than.

    Below FEWEST units there is no interval, no p is to be relied on, and `values` has the units' own numbers.
    """

    n: int
    mean: float
    interval: Interval | None
    above: float
    """How likely so high a mean is, if the true one is not above the reference."""
    below: float
    effect: float
    """The distance from the reference in standard deviations of the units; infinite where they do not differ."""
    values: tuple[float, ...] = ()


def paired(
    one: Sequence[float],
    other: Sequence[float],
    groups: Sequence[Hashable] | None = None,
    limits: Limits | None = None,
) -> MeanDifference:
    """The mean of `one - other` over images that both attacked, against no difference.

    Student's t over the units; McNemar's exact test and Newcombe's interval where all values are true or false and
    each is a unit. Where t's interval would leave what `limits` allow, it is a bootstrap's.
    """
    members = grouped([float(a) - float(b) for a, b in zip(one, other, strict=True)], groups)
    means = [sum(group) / len(group) for group in members.values()]
    if true_or_false([*one, *other]):
        alone = len(members) == len(one)
        tails = signs(means) if alone else t_test(means)
        return _difference(
            means, 0.0, tails, lambda: newcombe(*_counts(one, other)) if alone else bootstrap(means)
        )
    return _difference(means, 0.0, t_test(means), lambda: _of_difference(means, limits))


def single(
    values: Sequence[float], reference: float, groups: Sequence[Hashable] | None = None
) -> MeanDifference:
    """The mean of some values against a number: Student's t, or the exact binomial test with Wilson's interval."""
    members = grouped(values, groups)
    means = [sum(group) / len(group) for group in members.values()]
    sizes = [len(group) for group in members.values()]
    alone = len(members) == len(values)
    tails = binomial(means, reference) if alone and true_or_false(values) else t_test(means, reference)
    if true_or_false(values):
        rate = sum(map(float, values)) / len(values)
        count = effective(rate, means, len(values)) if len(means) > 1 else 1.0
        return _difference(means, reference, tails, lambda: wilson(rate * count, count))
    return _difference(means, reference, tails, lambda: bootstrap(means, sizes))


def equivalence(
    one: Sequence[float],
    other: Sequence[float],
    margin: float,
    groups: Sequence[Hashable] | None = None,
    limits: Limits | None = None,
) -> MeanDifference:
    """The difference, with the p that it is within a margin either way (two one-sided tests) as `above`, that it is
    outside as `below`, and as effect its distance from the nearer end."""
    found = paired(one, other, groups, limits)
    members = grouped([float(a) - float(b) for a, b in zip(one, other, strict=True)], groups)
    means = [sum(group) / len(group) for group in members.values()]
    if true_or_false([*one, *other]) and len(members) == len(one):
        counts = _counts(one, other)
        (above, low), (far, below) = _score_test(counts, -margin), _score_test(counts, margin)
    else:
        (above, low), (far, below) = t_test(means, -margin), t_test(means, margin)
    effect = standardised(margin - abs(found.mean), means)
    return replace(found, above=max(above, below), below=min(1.0, 2 * min(far, low)), effect=effect)


def _score_test(counts: tuple[int, int, int, int], reference: float) -> tuple[float, float]:
    """One-sided p that a difference of paired rates is above, and below, a number: where Newcombe's interval ends."""
    from scipy.optimize import brentq

    def distance(p: float, end: int) -> float:
        return newcombe(*counts, level=1 - 2 * p)[end] - reference

    def tail(end: int, sign: int) -> float:
        if sign * distance(0.5, end) <= 0:
            return 1.0
        if sign * distance(_SURE, end) > 0:
            return _SURE
        return float(brentq(distance, _SURE, 0.5, args=(end,)))

    return tail(0, 1), tail(1, -1)


_SURE = 1e-9


def _difference(
    means: Sequence[float], reference: float, tails: Interval, interval: Callable[[], Interval]
) -> MeanDifference:
    count, mean = len(means), float(numpy.mean(means))
    return MeanDifference(
        n=count,
        mean=mean,
        interval=interval() if count >= FEWEST else None,
        above=tails[0],
        below=tails[1],
        effect=standardised(mean - reference, means),
        values=tuple(means) if count < FEWEST else (),
    )


def _counts(one: Sequence[float], other: Sequence[float]) -> tuple[int, int, int, int]:
    """Images where both, only the one, only the other, and neither is true."""
    marks = [(bool(a), bool(b)) for a, b in zip(one, other, strict=True)]
    return (
        marks.count((True, True)),
        marks.count((True, False)),
        marks.count((False, True)),
        marks.count((False, False)),
    )


def _of_difference(means: Sequence[float], limits: Limits | None) -> Interval:
    found = student(means)
    most = math.inf if limits is None else limits[1] - limits[0]
    return found if -most <= found[0] and found[1] <= most else bootstrap(means)


def standardised(distance: float, values: Sequence[float]) -> float:
    """A distance in standard deviations of some values."""
    spread = float(numpy.std(values, ddof=1)) if len(values) > 1 else 0.0
    return distance / spread if spread else math.copysign(math.inf, distance) if distance else 0.0


def t_test(values: Sequence[float], reference: float = 0.0) -> tuple[float, float]:
    """One-sided p that the mean is above, and below, a number. Without any spread it is the exact test of signs."""
    from scipy.special import stdtr

    count = len(values)
    spread = float(numpy.std(values, ddof=1)) if count > 1 else 0.0
    distance = float(numpy.mean(values)) - reference
    if spread <= 1e-12 * abs(distance):
        return signs([value - reference for value in values])
    t = distance / (spread / math.sqrt(count))
    return float(stdtr(count - 1, -t)), float(stdtr(count - 1, t))


def signs(values: Sequence[float]) -> tuple[float, float]:
    """One-sided p of the exact test of signs: of paired successes, McNemar's exact test."""
    more, less = sum(value > 0 for value in values), sum(value < 0 for value in values)
    return _at_least(more, more + less, 0.5), _at_least(less, more + less, 0.5)


def binomial(values: Sequence[float], rate: float) -> tuple[float, float]:
    """One-sided p of the exact binomial test that a rate is above, and below, a number."""
    count, hits = len(values), round(sum(values))
    return _at_least(hits, count, rate), _at_least(count - hits, count, 1 - rate)


def _at_least(hits: int, count: int, rate: float) -> float:
    from scipy.special import bdtrc

    return float(bdtrc(hits - 1, count, rate)) if hits else 1.0


def holm(ps: Sequence[float]) -> list[float]:
    """p values corrected for their number (Holm 1979), in their order."""
    order = sorted(range(len(ps)), key=lambda place: ps[place])
    found, least = [0.0] * len(ps), 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, ps[place] * (len(ps) - rank)))
        found[place] = least
    return found


MANY = 10_000
"""More images than anyone will attack."""


def images(effect: float, level: float = 0.05, power: float = 0.8) -> int | None:
    """How many units show an effect of so many standard deviations by a one-sided t test, with such a power.

    None where none do: no effect, or more than MANY.
    """
    from scipy.special import nctdtr, ndtri, stdtrit

    if effect <= 0:
        return None
    guess = ((float(ndtri(1 - level)) + float(ndtri(power))) / effect) ** 2
    if guess > MANY:
        return None
    count = max(FEWEST, math.floor(guess))
    while nctdtr(count - 1, effect * math.sqrt(count), stdtrit(count - 1, 1 - level)) > 1 - power:
        count += 1
    return count
