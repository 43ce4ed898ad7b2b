"""From shares of the classes to whole numbers and labels."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.labels.counts import apportion, multiset

SHARES = st.lists(st.floats(-5, 100), min_size=1, max_size=20).filter(lambda shares: max(shares) > 1e-6)


@settings(deadline=None)
@given(SHARES, st.integers(0, 500))
def test_counts_are_not_negative_and_add_up(shares: list[float], total: int) -> None:
    counts = apportion(torch.tensor(shares), total)
    assert int(counts.sum()) == total
    assert int(counts.min()) >= 0
    quota = torch.tensor(shares, dtype=torch.float64).clamp_min(0)
    quota = quota * total / quota.sum()
    assert float((counts - quota).abs().max()) < 1 + 1e-3


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20).filter(any))
def test_counts_that_add_up_already_stay(counts: list[int]) -> None:
    assert apportion(torch.tensor(counts), sum(counts)).tolist() == counts


def test_the_largest_remainder_comes_first_and_of_equals_the_lower_class() -> None:
    assert apportion(torch.tensor([1.0, 1.0, 1.0]), 4).tolist() == [2, 1, 1]
    assert apportion(torch.tensor([300, 100, 0]), 10).tolist() == [8, 2, 0]
    assert apportion(torch.tensor([-3.0, 0.2, 0.8]), 5).tolist() == [0, 1, 4]


@pytest.mark.parametrize("shares", [[0.0, -1.0], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_what_is_no_share_is_refused(shares: list[float]) -> None:
    with pytest.raises(ValueError, match="can't be apportioned"):
        apportion(torch.tensor(shares), 3)


def test_labels_ascend() -> None:
    assert multiset(torch.tensor([2, 0, 1])).tolist() == [0, 0, 2]
