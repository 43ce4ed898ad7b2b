"""Tests of differences against scipy, and how many images would decide."""

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.base.statistics.comparison import equivalence, holm, images, paired, single, t_test

ONE = [3.0, 4.5, 2.0, 7.0, 6.5, 5.0]
OTHER = [2.0, 4.0, 2.5, 5.0, 6.0, 3.0]


def test_a_paired_difference_is_scipys_t_test() -> None:
    found = paired(ONE, OTHER)
    assert found.above == pytest.approx(stats.ttest_rel(ONE, OTHER, alternative="greater").pvalue)
    assert found.below == pytest.approx(stats.ttest_rel(ONE, OTHER, alternative="less").pvalue)
    interval = stats.ttest_rel(ONE, OTHER).confidence_interval()
    assert found.interval == pytest.approx((interval.low, interval.high))
    assert [found.n, found.mean] == pytest.approx([6, 1.0 - 1 / 12])


def test_paired_rates_have_mcnemars_exact_test() -> None:
    one, other = [True] * 9 + [False] + [True] * 10, [False] * 9 + [True] * 11
    found = paired(one, other)
    assert found.above == pytest.approx(stats.binomtest(9, 10, alternative="greater").pvalue)
    assert found.below == pytest.approx(stats.binomtest(1, 10, alternative="greater").pvalue)
    assert found.interval is not None
    assert 0 < found.interval[0] < 0.4 < found.interval[1] < 1


def test_seeds_of_an_image_are_one_unit() -> None:
    once = paired(ONE, OTHER, range(6))
    twice = paired(ONE * 2, OTHER * 2, [*range(6)] * 2)
    assert [twice.n, twice.above] == pytest.approx([6, once.above])
    assert twice.interval == pytest.approx(once.interval)


def test_an_interval_that_would_leave_its_limits_is_a_bootstraps() -> None:
    one, other = [1.0, 0.95, 0.0, 1.0, 0.1], [0.0, 0.0, 0.0, 0.0, 0.0]
    free, bounded = paired(one, other), paired(one, other, limits=(0.0, 1.0))
    assert free.interval is not None
    assert bounded.interval is not None
    assert free.interval[1] > 1
    assert 0 <= bounded.interval[0] <= bounded.interval[1] <= 1
    assert (free.above, free.below) == (bounded.above, bounded.below)


def test_few_images_have_values_and_no_interval() -> None:
    found = paired(ONE[:4], OTHER[:4])
    assert found.interval is None
    assert found.values == (1.0, 0.5, -0.5, 2.0)


def test_without_any_spread_signs_decide() -> None:
    assert t_test([1.0] * 5) == pytest.approx((1 / 32, 1.0))
    assert t_test([0.0] * 5) == (1.0, 1.0)


def test_one_row_against_a_number() -> None:
    found = single(ONE, 4.0)
    assert found.above == pytest.approx(stats.ttest_1samp(ONE, 4.0, alternative="greater").pvalue)
    assert found.interval is not None
    assert min(ONE) <= found.interval[0] < found.mean < found.interval[1] <= max(ONE)
    rate = single([True] * 9 + [False], 0.5)
    assert rate.above == pytest.approx(stats.binomtest(9, 10, 0.5, alternative="greater").pvalue)
    assert rate.below == pytest.approx(stats.binomtest(9, 10, 0.5, alternative="less").pvalue)


def test_equivalence_is_two_one_sided_tests() -> None:
    found = equivalence(ONE, OTHER, margin=2.0)
    differences = numpy.subtract(ONE, OTHER)
    tails = [
        stats.ttest_1samp(differences, -2.0, alternative="greater").pvalue,
        stats.ttest_1samp(differences, 2.0, alternative="less").pvalue,
    ]
    assert found.above == pytest.approx(max(tails))
    assert found.effect == pytest.approx((2.0 - found.mean) / differences.std(ddof=1))
    assert equivalence(ONE, OTHER, margin=0.1).above > 0.5


def test_equal_rates_take_more_than_a_few_images() -> None:
    few, many = [True] * 5, [True] * 200
    assert equivalence(few, few, margin=0.05).above > 0.05
    assert equivalence(many, many, margin=0.05).above < 0.05
    far = equivalence(many, [False] * 200, margin=0.05)
    assert (far.above, far.below < 1e-3) == (1.0, True)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=50)
def test_holms_correction_is_monotone_and_between_none_and_bonferronis(ps: list[float]) -> None:
    found = holm(ps)
    assert all(p <= corrected <= min(1.0, p * len(ps)) for p, corrected in zip(ps, found, strict=True))
    assert [found[k] for k in numpy.argsort(ps, kind="stable")] == sorted(found)


def test_holm_has_its_textbook_values() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_the_images_that_decide_have_the_power_that_they_promise() -> None:
    count = images(0.5)
    assert count == 27  # Cohen 1988, for a one-sided paired t test at .05
    draws = numpy.random.default_rng(0).normal(0.5, 1.0, size=(2000, count))
    assert 0.77 < sum(t_test(draw)[0] < 0.05 for draw in draws) / 2000 < 0.83
    assert images(10.0) == 5
    assert images(0.0) is None
    assert images(-1.0) is None
    assert images(0.001) is None
