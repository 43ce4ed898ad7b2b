"""From shares of the classes to whole numbers and labels."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.base.errors import Unreadable
from harness.core.counts import apportion, by_impact, multiset, whole

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
    with pytest.raises(Unreadable, match="no class has a positive and finite share"):
        apportion(torch.tensor(shares), 3)


def test_labels_ascend() -> None:
    assert multiset(torch.tensor([2, 0, 1])).tolist() == [0, 0, 2]


def test_a_little_below_zero_is_none_and_more_than_all_examples_is_a_contradiction() -> None:
    assert whole(torch.tensor([4.3, -0.4, 0.1]), 4).tolist() == [4, 0, 0]
    with pytest.raises(Unreadable, match="contradict each other, -9 to 13 of 4"):
        whole(torch.tensor([13.0, -9.0, 0.0]), 4)
    with pytest.raises(Unreadable, match="not finite"):
        whole(torch.tensor([1.0, float("nan")]), 4)


@given(st.lists(st.integers(0, 9), min_size=2, max_size=12).filter(any), st.floats(1e-6, 1e6))
def test_exact_signals_give_exact_counts(counts: list[int], scale: float) -> None:
    """Each class has the signal of an absent one plus what its labels add."""
    total = sum(counts)
    true = torch.tensor(counts)
    offset = torch.rand(len(counts), generator=torch.Generator().manual_seed(total)).double() / len(counts)
    signal = scale * (offset - true.double() / total)
    assert by_impact(signal, -scale / total, scale * offset, total).tolist() == counts


def test_a_label_that_raises_its_signal_is_a_contradiction() -> None:
    for impact in (0.0, 0.1, float("nan")):
        with pytest.raises(Unreadable, match="does not lower"):
            by_impact(torch.zeros(3), impact, torch.zeros(3), 4)
