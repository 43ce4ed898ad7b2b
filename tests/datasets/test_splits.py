import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.core import UserError
from harness.datasets.splits import Pool, cut, split_indices

SPLITS = ("attack", "public", "train")
counts = st.integers(0, 400)
fractions = st.floats(0, 1)
parts = st.sampled_from(["all", "train", "test"])
strides = st.integers(1, 20)


@given(counts, fractions, parts, strides)
def test_splits_are_disjoint_and_complete(count, fraction, part, every):
    rows = [row for split in SPLITS for row in split_indices(count, split, fraction, part, every)]
    assert sorted(rows) == list(range(count))


@given(counts, fractions)
def test_every_tenth_row_of_one_pool_is_attacked_whatever_the_fraction(count, fraction):
    assert split_indices(count, "attack", fraction) == [row for row in range(count) if row % 10 == 9]


@given(counts, fractions)
def test_an_official_division_is_kept(count, fraction):
    assert split_indices(count, "attack", fraction, "test") == list(range(count))
    assert split_indices(count, "attack", fraction, "train") == []


@given(counts, fractions, parts)
def test_public_rows_are_interleaved_in_proportion(count, fraction, part):
    """Any stretch of rows has its share of public ones: a file that is sorted by class gives no lopsided split."""
    public = set(split_indices(count, "public", fraction, part))
    others = sorted(public | set(split_indices(count, "train", fraction, part)))
    seen = 0
    for rank, row in enumerate(others, start=1):
        seen += row in public
        assert abs(seen - rank * fraction) < 3


@pytest.mark.parametrize("period", range(2, 13))
def test_public_rows_follow_no_period(period):
    """MNIST's odd and even rows come from different writers: taking every other row would tell them apart."""
    public = set(split_indices(6000, "public", 0.5, "train"))
    for start in range(period):
        rows = range(start, 6000, period)
        assert sum(row in public for row in rows) / len(rows) == pytest.approx(0.5, abs=0.02)


@given(counts, counts, fractions)
def test_more_data_does_not_move_rows_between_splits(count, more, fraction):
    for split in SPLITS:
        few = split_indices(count, split, fraction)
        assert split_indices(count + more, split, fraction)[: len(few)] == few


def test_rows_are_traceable_and_scaled():
    pixels = torch.arange(20, dtype=torch.uint8).view(20, 1, 1, 1)
    attacked = cut(Pool(pixels, torch.arange(20) % 3), "attack", 0.5)
    assert len(attacked) == 2
    assert attacked.indices == [9, 19]
    assert attacked.labels.tolist() == [0, 1]
    image, label = attacked[1]
    assert image.dtype == torch.float32
    assert image.item() == pytest.approx(19 / 255)
    assert (label, type(label)) == (1, int)


def test_changing_an_image_leaves_the_data_alone():
    subset = cut(Pool(torch.full((10, 1, 2, 2), 0.5), torch.zeros(10, dtype=torch.int64)), "attack", 0.5)
    subset[0][0].zero_()
    assert subset[0][0].min() == 0.5


def test_iteration_ends():
    subset = cut(Pool(torch.zeros(30, 1, 2, 2), torch.zeros(30, dtype=torch.int64)), "attack", 0.5)
    assert len(list(subset)) == 3


def test_an_empty_split_is_a_user_error():
    pool = Pool(torch.zeros(30, 1, 2, 2), torch.zeros(30, dtype=torch.int64))
    with pytest.raises(UserError, match=r"train split has no images.*dataset\.public_fraction"):
        cut(pool, "train", 1.0)
