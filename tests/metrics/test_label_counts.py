"""Scores of inferred counts of the classes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.metrics.labels import count, score_counts

COUNTS = st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any)


def test_each_score_says_what_its_name_says() -> None:
    found = score_counts(torch.tensor([3, 0, 1, 0]), torch.tensor([2, 0, 1, 1]))
    assert found == {"class_accuracy": 0.75, "count_accuracy": 0.5, "label_accuracy": 0.75}


@given(COUNTS, COUNTS)
def test_scores_are_shares_and_one_for_the_truth_alone(found: list[int], truth: list[int]) -> None:
    scores = score_counts(torch.tensor(found), torch.tensor(truth))
    assert all(0 <= value <= 1 for value in scores.values())
    assert (scores["count_accuracy"] == 1) == (found == truth)
    assert set(score_counts(torch.tensor(truth), torch.tensor(truth)).values()) == {1.0}


@given(st.permutations([0, 0, 0, 1, 1, 3, 3, 3]), st.lists(st.integers(0, 3), min_size=8, max_size=8))
def test_label_accuracy_is_one_less_half_the_difference(truth: list[int], found: list[int]) -> None:
    """Of as many labels as there are: the same as the share of labels that can be paired."""
    one, two = count(torch.tensor(found), 4), count(torch.tensor(truth), 4)
    expected = 1 - float((one - two).abs().sum()) / 16
    assert score_counts(one, two)["label_accuracy"] == pytest.approx(expected)


def test_labels_may_be_probabilities_and_none_is_no_class() -> None:
    assert count(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), 3).tolist() == [1, 1, 0]
    assert count(torch.tensor([-1, 2, 2]), 3).tolist() == [0, 0, 2]
