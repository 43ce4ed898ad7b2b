"""Intervals that stay in the range of what they are about."""

import math
from collections.abc import Sequence

import numpy

Interval = tuple[float, float]

RESAMPLES = 1999
MOST = 2_000_000
"""Numbers that are drawn at once."""


def wilson(successes: float, count: float, level: float = 0.95) -> Interval:
    """Wilson's score interval of a rate (Wilson 1927): it stays within [0, 1] and holds at 0 and at `count`."""
    from scipy.special import ndtri

    z = float(ndtri((1 + level) / 2))
    rate, weight = successes / count, z * z / count
    centre = (rate + weight / 2) / (1 + weight)
    half = z * math.sqrt(rate * (1 - rate) / count + weight / (4 * count)) / (1 + weight)
    # At its ends the formula gives 0 and 1, which rounding misses by a hair.
    return max(0.0, centre - half) if successes else 0.0, min(1.0, centre + half) if rate < 1 else 1.0


def bootstrap(means: Sequence[float], sizes: Sequence[int] | None = None, level: float = 0.95) -> Interval:
    """The bootstrap interval of a mean over groups, bias-corrected and accelerated (BCa; Efron 1987).

    Groups of `sizes` values with such means are drawn as they are. The interval lies between the least and the
    greatest of the means; the draws are the same every time. Of few values it is too narrow: of 5, 8,
    16, 30 that are normal it covers the mean in 84, 89, 93, 93 % of cases, of skewed (lognormal) ones in 73 to 89 %.
    """
    from scipy.stats import bootstrap as resample

    values, weights = numpy.asarray(means, float), numpy.asarray(sizes or [1] * len(means), float)
    weights /= weights.max()
    least, most = float(values.min()), float(values.max())
    if most - least <= 1e-12 * max(abs(least), abs(most)):
        return least, most
    found = resample(
        (values * weights, weights),
        lambda total, count, axis: total.sum(axis) / count.sum(axis),
        paired=True,
        vectorized=True,
        confidence_level=level,
        n_resamples=RESAMPLES,
        batch=max(1, MOST // len(values)),
        rng=numpy.random.default_rng(0),
    ).confidence_interval
    return max(least, float(found.low)), min(most, float(found.high))


def student(values: Sequence[float], level: float = 0.95) -> Interval:
    """Student's t interval of the mean of at least two values. It knows no range: for differences, not for scores."""
    from scipy.special import stdtrit

    count = len(values)
    half = float(stdtrit(count - 1, (1 + level) / 2)) * float(numpy.std(values, ddof=1)) / math.sqrt(count)
    mean = float(numpy.mean(values))
    return mean - half, mean + half


def newcombe(both: int, one: int, other: int, neither: int, level: float = 0.95) -> Interval:
    """The interval of a difference of two rates on the same images (Newcombe 1998, method 10): within [-1, 1].

    `one` images where only the first succeeded, `other` where only the second did.
    """
    count = both + one + other + neither
    first, second = both + one, both + other
    (low, high), (least, most) = wilson(first, count, level), wilson(second, count, level)
    p, q = first / count, second / count
    product = first * (count - first) * second * (count - second)
    phi = _association(both, one, other, neither) / math.sqrt(product) if product else 0.0
    down = (p - low) ** 2 - 2 * phi * (p - low) * (most - q) + (most - q) ** 2
    up = (high - p) ** 2 - 2 * phi * (high - p) * (q - least) + (q - least) ** 2
    return p - q - math.sqrt(max(down, 0.0)), p - q + math.sqrt(max(up, 0.0))


def _association(both: int, one: int, other: int, neither: int) -> float:
    """The numerator of phi, corrected for continuity where it is positive, as Newcombe recommends."""
    found = both * neither - one * other
    return max(found - (both + one + other + neither) / 2, 0.0) if found > 0 else float(found)
