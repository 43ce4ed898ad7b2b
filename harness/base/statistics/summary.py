"""Mean, standard deviation and a 95 % interval, over images with their seeds nested in them."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy

from harness.base.statistics.intervals import bootstrap, wilson

FEWEST = 5
"""Independent values below which there is no interval and no test: the values themselves are shown."""


@dataclass(frozen=True)
class Statistic:
    """A summary of n values. What needs more values (or groups) than there are is None."""

    n: int
    mean: float
    std: float | None
    low: float | None
    high: float | None
    values: tuple[float, ...] = ()
    """The means of the groups, where these are too few for an interval."""


def statistic(
    values: Sequence[float | None], groups: Sequence[Hashable] | None = None, level: float = 0.95
) -> Statistic | None:
    """Summarise values, leaving out None and what is not finite; None when nothing is left.

    A group is what is not independent, such as one image under several seeds: it is drawn as a whole, so that
    repetitions say nothing new about other images. By default every value is a group of its own. The interval is
    Wilson's where all values are true or false (of groups, with their effective number), else a bootstrap over the
    groups: neither leaves the range of what is measured. `std` is the sample deviation (n - 1) of all values.
    """
    members = grouped(values, groups)
    kept = [value for group in members.values() for value in group]
    if not kept:
        return None
    means = [sum(group) / len(group) for group in members.values()]
    numbers = numpy.array(kept, dtype=float)
    mean = float(numbers.mean())
    interval: tuple[float | None, float | None] = (None, None)
    if len(means) >= FEWEST and true_or_false(values):
        count = effective(mean, means, len(numbers))
        interval = wilson(mean * count, count, level)
    elif len(means) >= FEWEST:
        interval = bootstrap(means, [len(group) for group in members.values()], level)
    return Statistic(
        n=len(numbers),
        mean=mean,
        std=float(numbers.std(ddof=1)) if len(numbers) > 1 else None,
        low=interval[0],
        high=interval[1],
        values=tuple(means) if len(means) < FEWEST else (),
    )


def effective(rate: float, means: Sequence[float], most: int) -> float:
    """How many independent trials are as sure of a rate as some groups of trials (Korn and Graubard 1998).

    Between the number of groups, where what is in one is all alike, and `most`, that of all trials. Where nothing or
    everything succeeded, nobody can say how far the trials of a group are alike: it is the number of groups.
    """
    variance = float(numpy.var(means, ddof=1)) / len(means)
    if rate in (0, 1):
        return float(len(means))
    alike = rate * (1 - rate) / variance if variance else float(most)
    return min(max(alike, float(len(means))), float(most))


def grouped(
    values: Sequence[float | None], groups: Sequence[Hashable] | None = None
) -> dict[Hashable, list[float]]:
    """The finite values of each group. Raises ValueError unless there is a group for each value."""
    keys = range(len(values)) if groups is None else groups
    if len(keys) != len(values):
        raise ValueError(f"{len(values)} values in {len(keys)} groups")
    members: dict[Hashable, list[float]] = {}
    for key, value in zip(keys, values, strict=True):
        if value is not None and math.isfinite(value):
            members.setdefault(key, []).append(value)
    return members


def true_or_false(values: Sequence[float | None]) -> bool:
    """Whether some values are a rate's: each is True, False or missing."""
    return all(isinstance(value, bool | numpy.bool_) for value in values if value is not None)
