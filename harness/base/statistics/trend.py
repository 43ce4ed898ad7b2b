"""Whether a number rises along ordered levels."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy


@dataclass(frozen=True)
class Rise:
    """One-sided p that a number rises along the levels, and that it falls; z is positive where it rises."""

    name: str
    n: int
    """Independent units at each level; where they are not the same, the fewest."""
    rising: float
    falling: float
    z: float


def page(units: Sequence[Sequence[float]]) -> Rise:
    """Page's test (1963) for an order of three levels or more, from the values of each unit at every level."""
    from scipy.stats import page_trend_test

    values = numpy.asarray(units, float)
    up = page_trend_test(values).pvalue if len(values) > 1 else 1.0
    down = page_trend_test(values[:, ::-1]).pvalue if len(values) > 1 else 1.0
    return Rise("Page's test", len(values), float(up), float(down), _page_z(values))


def _page_z(values: numpy.ndarray) -> float:
    """Page's statistic in its standard deviations where there is no order."""
    from scipy.stats import rankdata

    count, levels = values.shape
    statistic = float((rankdata(values, axis=1).sum(axis=0) * numpy.arange(1, levels + 1)).sum())
    expected = count * levels * (levels + 1) ** 2 / 4
    variance = count * levels**2 * (levels + 1) * (levels**2 - 1) / 144
    return float((statistic - expected) / math.sqrt(variance))


def jonckheere(levels: Sequence[Mapping[Hashable, float]]) -> Rise:
    """Jonckheere's test (1954) of levels that are of different units: Kendall's of the level and the value."""
    from scipy.special import ndtri
    from scipy.stats import kendalltau

    places = [place for place, level in enumerate(levels) for _ in level]
    values = [value for level in levels for value in level.values()]
    up, down = (
        float(numpy.nan_to_num(kendalltau(places, values, alternative=side).pvalue, nan=1.0))
        for side in ("greater", "less")
    )
    return Rise("Jonckheere's test", min(map(len, levels)), up, down, float(ndtri((1 + down - up) / 2)))
