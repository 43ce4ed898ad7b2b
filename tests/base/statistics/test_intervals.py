"""Intervals of rates and of their differences: textbook values, range, coverage."""

import itertools

import numpy
import pytest
from scipy import stats

from harness.base.statistics.intervals import bootstrap, newcombe, student, wilson


def test_wilson_has_its_textbook_values() -> None:
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)


def test_wilson_ends_where_a_rate_ends() -> None:
    for count in range(1, 200):
        assert wilson(0, count)[0] == 0.0
        assert wilson(count, count)[1] == 1.0


def test_student_is_scipys() -> None:
    values = [1.0, 2.5, 4.0, 3.0, 9.0]
    found = stats.ttest_1samp(values, 0).confidence_interval()
    assert student(values) == pytest.approx((found.low, found.high))


@pytest.mark.parametrize("counts", [c for c in itertools.product(range(4), repeat=4) if sum(c) >= 5][::7])
def test_newcombes_interval_stays_in_range_around_the_difference(counts: tuple[int, int, int, int]) -> None:
    low, high = newcombe(*counts)
    difference = (counts[1] - counts[2]) / sum(counts)
    assert -1 - 1e-12 <= low <= difference <= high <= 1 + 1e-12
    other = newcombe(counts[0], counts[2], counts[1], counts[3])
    assert other == pytest.approx((-high, -low))


def test_newcombes_interval_covers_a_difference_of_paired_rates() -> None:
    rng, shares = numpy.random.default_rng(0), [0.5, 0.25, 0.1, 0.15]
    drawn = [newcombe(*counts) for counts in rng.multinomial(25, shares, size=2000)]
    assert 0.93 < sum(low <= 0.15 <= high for low, high in drawn) / 2000 < 0.98


def test_a_bootstrap_of_what_does_not_vary_is_a_point() -> None:
    assert bootstrap([0.5] * 6) == (0.5, 0.5)
    assert bootstrap([0.0] * 6) == (0.0, 0.0)


def test_a_bootstrap_is_the_same_every_time_and_follows_the_sizes_of_groups() -> None:
    means = [0.0, 0.1, 0.2, 0.3, 5.0]
    assert bootstrap(means) == bootstrap(means)
    assert bootstrap(means, [1, 1, 1, 1, 100])[1] > bootstrap(means, [100, 100, 100, 100, 1])[1]
