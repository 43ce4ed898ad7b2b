"""Statistics against numpy and scipy."""

import math

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.statistics import mcnemar, statistic, wilson

numbers = st.floats(-1e6, 1e6)


@given(st.lists(numbers, min_size=2, max_size=20))
def test_agrees_with_numpy_and_scipy(values: list[float]) -> None:
    found = statistic(values)
    assert found is not None
    assert found.n == len(values)
    assert found.mean == pytest.approx(numpy.mean(values))
    assert found.std == pytest.approx(numpy.std(values, ddof=1))
    error = stats.sem(values)
    if error > 0:
        low, high = stats.t.interval(0.95, len(values) - 1, loc=numpy.mean(values), scale=error)
        assert found.low == pytest.approx(low, rel=1e-6, abs=1e-9 * max(map(abs, values)))
        assert found.high == pytest.approx(high, rel=1e-6, abs=1e-9 * max(map(abs, values)))
    else:
        assert found.low == found.mean == found.high


@given(st.lists(numbers, min_size=1, max_size=8), st.lists(st.sampled_from([None, math.nan, math.inf])))
def test_missing_values_do_not_count(values: list[float], missing: list[float | None]) -> None:
    assert statistic([*missing, *values]) == statistic(values)
    assert statistic(missing) is None


def test_one_value_has_no_spread() -> None:
    found = statistic([0.25])
    assert found is not None
    assert (found.n, found.mean, found.std, found.low, found.high) == (1, 0.25, None, None, None)


@given(st.lists(numbers, min_size=2, max_size=8), st.integers(2, 4))
def test_repeating_the_same_images_does_not_narrow_the_interval(values: list[float], times: int) -> None:
    once = statistic(values)
    again = statistic(values * times, list(range(len(values))) * times)
    assert once is not None
    assert again is not None
    assert again.n == times * once.n
    scale = 1e-9 * max(map(abs, values))
    assert again.low == pytest.approx(once.low, rel=1e-6, abs=scale)
    assert again.high == pytest.approx(once.high, rel=1e-6, abs=scale)


def test_values_and_groups_must_have_the_same_length() -> None:
    with pytest.raises(ValueError, match="2 values in 1 groups"):
        statistic([1.0, 2.0], [0])


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    draws = numpy.random.default_rng(0).normal(3.0, 2.0, size=(2000, 4))
    intervals = [statistic(list(draw)) for draw in draws]
    covered = sum(s.low <= 3.0 <= s.high for s in intervals if s and s.low is not None and s.high is not None)
    assert 0.93 < covered / 2000 < 0.97


def test_wilson_and_mcnemar_have_their_textbook_values() -> None:
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert mcnemar(1, 9) == pytest.approx(22 / 1024)
    assert mcnemar(9, 1) == mcnemar(1, 9)
    assert mcnemar(0, 0) == 1
