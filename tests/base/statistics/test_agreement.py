"""Agreement beyond chance."""

import pytest
from sklearn.metrics import cohen_kappa_score

from harness.base.statistics.agreement import agreement


def test_kappa_is_scikit_learns() -> None:
    one, other = list("aaabbccccb"), list("aabbbccaca")
    found = agreement(one, other)
    assert found.kappa == pytest.approx(cohen_kappa_score(one, other))
    assert (found.n, found.same) == (10, sum(a == b for a, b in zip(one, other, strict=True)))


def test_kappa_of_nothing_or_of_one_word_is_not_defined() -> None:
    assert agreement([], []).kappa is None
    assert agreement(["a", "a"], ["a", "a"]).kappa is None
