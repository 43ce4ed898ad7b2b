"""Trends: against scipy, in both directions."""

import pytest
from scipy import stats

from harness.base.statistics.trend import jonckheere, page

FALLING = [[30.0, 22.0, 11.0], [31.0, 20.0, 12.0], [29.0, 24.0, 9.0], [33.0, 18.0, 19.0], [28.0, 21.0, 10.0]]


def test_page_sees_a_fall_over_the_same_images() -> None:
    found = page(FALLING)
    assert found.falling == pytest.approx(stats.page_trend_test([row[::-1] for row in FALLING]).pvalue)
    assert found.falling < 0.01 < 0.9 < found.rising
    assert found.z < 0
    risen = page([row[::-1] for row in FALLING])
    assert [risen.rising, risen.z] == pytest.approx([found.falling, -found.z])


def test_jonckheere_sees_a_fall_over_different_images() -> None:
    levels = [{(k, n): row[k] for n, row in enumerate(FALLING)} for k in range(3)]
    found = jonckheere(levels)
    assert found.n == 5
    assert found.falling < 1e-3 < 0.99 < found.rising
    assert found.z < 0
    assert jonckheere(levels[::-1]).rising == pytest.approx(found.falling)


def test_what_is_the_same_everywhere_has_no_trend() -> None:
    flat = jonckheere([{(k, n): 1.0 for n in range(5)} for k in range(3)])
    assert (flat.rising, flat.falling, flat.z) == (1.0, 1.0, 0.0)
    assert page([[1.0, 1.0, 1.0]] * 6).rising > 0.3
