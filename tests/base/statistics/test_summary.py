"""Summaries: against numpy, within the range of what they measure, over images with their seeds."""

import math

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.base.statistics import FEWEST, statistic
from harness.base.statistics.intervals import wilson
from harness.base.statistics.summary import effective

numbers = st.floats(-1e6, 1e6)


@given(st.lists(numbers, min_size=2, max_size=20))
@settings(max_examples=30)
def test_agrees_with_numpy_and_stays_among_the_values(values: list[float]) -> None:
    found = statistic(values)
    assert found is not None
    assert found.n == len(values)
    assert found.mean == pytest.approx(numpy.mean(values))
    assert found.std == pytest.approx(numpy.std(values, ddof=1))
    if len(values) >= FEWEST:
        assert found.low is not None
        assert found.high is not None
        assert min(values) <= found.low <= found.high <= max(values)


@given(st.lists(numbers, min_size=1, max_size=8), st.lists(st.sampled_from([None, math.nan, math.inf])))
@settings(max_examples=30)
def test_missing_values_do_not_count(values: list[float], missing: list[float | None]) -> None:
    assert statistic([*missing, *values]) == statistic(values)
    assert statistic(missing) is None


@pytest.mark.parametrize("values", [[0.25], [0.1, 0.2, 0.3, 0.6], [True, False, True]])
def test_few_values_speak_for_themselves(values: list[float]) -> None:
    found = statistic(values)
    assert found is not None
    assert (found.low, found.high) == (None, None)
    assert found.values == tuple(values)
    assert statistic(values * 5).values == ()  # type: ignore[union-attr]


@given(st.lists(st.integers(-99, 99), min_size=5, max_size=8), st.integers(2, 4))
@settings(max_examples=15)
def test_repeating_the_same_images_does_not_narrow_the_interval(values: list[int], times: int) -> None:
    once = statistic(values)
    again = statistic(values * times, list(range(len(values))) * times)
    assert once is not None
    assert again is not None
    assert again.n == times * once.n
    assert (again.low, again.high) == pytest.approx((once.low, once.high))


def test_seeds_that_differ_widen_nothing_but_their_images() -> None:
    """The spread between seeds of one image is averaged; that between images is what the interval is of."""
    values, images = [0.0, 2.0, 4.0, 6.0, 8.0] * 2, [0, 1, 2, 3, 4] * 2
    noise = [0.5] * 5 + [-0.5] * 5
    noisy = statistic([value + more for value, more in zip(values, noise, strict=True)], images)
    plain = statistic(values, images)
    assert noisy is not None
    assert plain is not None
    assert (noisy.low, noisy.high) == pytest.approx((plain.low, plain.high))


def test_values_and_groups_must_have_the_same_length() -> None:
    with pytest.raises(ValueError, match="2 values in 1 groups"):
        statistic([1.0, 2.0], [0])


def test_a_rate_has_wilsons_interval() -> None:
    found = statistic([True] * 8 + [False] * 2)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(wilson(8, 10))
    sure = statistic([True] * 16)
    assert sure is not None
    assert sure.high == 1.0
    assert sure.low == pytest.approx(wilson(16, 16)[0])


def test_a_rate_in_groups_is_as_sure_as_its_groups_allow() -> None:
    alike = [place < 5 for place in range(10) for _ in range(50)]
    mixed = [place % 2 == 0 for place in range(500)]
    blocks = [place // 50 for place in range(500)]
    wide, narrow = statistic(alike, blocks), statistic(mixed, blocks)
    assert wide is not None
    assert narrow is not None
    assert (wide.low, wide.high) == pytest.approx(wilson(5, 10), abs=0.03)
    assert (narrow.low, narrow.high) == pytest.approx(wilson(250, 500), abs=0.1)
    assert effective(1.0, [1.0] * 10, 500) == 10


@pytest.mark.parametrize(("draw", "mean"), [("beta", 0.8), ("normal", 0.0)])
def test_the_bootstrap_covers_the_mean_nearly_as_often_as_it_says(draw: str, mean: float) -> None:
    rng = numpy.random.default_rng(0)
    drawn = {"beta": rng.beta(4, 1, size=(120, 30)), "normal": rng.normal(size=(120, 30))}[draw]
    found = [statistic(list(values)) for values in drawn]
    covered = sum(s.low <= mean <= s.high for s in found if s and s.low is not None and s.high is not None)
    assert covered / 120 > 0.88
