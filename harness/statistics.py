"""Mean, standard deviation and a 95 % interval, over images and seeds."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy


@dataclass(frozen=True)
class Statistic:
    """A summary of n values. What needs two values (or two groups) is None when there is only one."""

    n: int
    mean: float
    std: float | None
    low: float | None
    high: float | None


def statistic(
    values: Sequence[float | None], groups: Sequence[Hashable] | None = None, level: float = 0.95
) -> Statistic | None:
    """Summarise values, leaving out None and what is not finite; None when nothing is left.

    The interval is Student's t over the means of the groups. A group is what was measured again, such as one
    image under several seeds: its repetitions say nothing new about other images. By default every value is
    a group of its own. `std` is the sample deviation (n - 1) of all values.
    """
    keys = range(len(values)) if groups is None else groups
    if len(keys) != len(values):
        raise ValueError(f"{len(values)} values in {len(keys)} groups")
    kept = [(k, v) for k, v in zip(keys, values, strict=True) if v is not None and math.isfinite(v)]
    if not kept:
        return None
    members: dict[Hashable, list[float]] = {}
    for key, value in kept:
        members.setdefault(key, []).append(value)
    numbers = numpy.array([value for _, value in kept], dtype=float)
    mean = float(numbers.mean())
    half = _half_width([sum(group) / len(group) for group in members.values()], level)
    return Statistic(
        n=len(numbers),
        mean=mean,
        std=float(numbers.std(ddof=1)) if len(numbers) > 1 else None,
        low=None if half is None else mean - half,
        high=None if half is None else mean + half,
    )


def _half_width(means: Sequence[float], level: float) -> float | None:
    from scipy.special import stdtrit

    count = len(means)
    if count < 2:
        return None
    error = float(numpy.std(means, ddof=1)) / math.sqrt(count)
    return float(stdtrit(count - 1, (1 + level) / 2)) * error


def rate(values: Sequence[bool], groups: Sequence[Hashable] | None = None) -> Statistic | None:
    """Summarise what is true or false, as `statistic` does, but with Wilson's interval, which stays within [0, 1].

    A group counts once, with the mean of its repetitions.
    """
    found = statistic([float(value) for value in values], groups)
    if found is None:
        return None
    count = found.n if groups is None else len(set(groups))
    low, high = wilson(found.mean * count, count)
    return replace(found, low=low, high=high)


def wilson(successes: float, count: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a rate (Wilson 1927): it stays within [0, 1] and holds at 0 and at `count`."""
    from scipy.special import ndtri

    z = float(ndtri((1 + level) / 2))
    rate, weight = successes / count, z * z / count
    centre = (rate + weight / 2) / (1 + weight)
    half = z * math.sqrt(rate * (1 - rate) / count + weight / (4 * count)) / (1 + weight)
    return max(0.0, centre - half), min(1.0, centre + half)


def mcnemar(one: int, other: int) -> float:
    """McNemar's exact two-sided p of paired successes: `one` pairs where only the one succeeded, `other` vice versa."""
    from scipy.stats import binomtest

    return float(binomtest(one, one + other).pvalue) if one + other else 1.0
