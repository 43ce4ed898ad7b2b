"""Matching reconstructions to images, and what a row says of each."""

from collections.abc import Sequence
from itertools import permutations

import pydantic
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from harness.core import Batch, Classifier, Normalize
from harness.metrics.lpips import LPIPS
from harness.metrics.matching import match
from harness.metrics.mse import MSE
from harness.metrics.psnr import PSNR
from harness.metrics.scores import Scores

MODEL = Classifier(Normalize((0.0,), (1.0,)), nn.Sequential(nn.Flatten(), nn.Linear(9, 2)))
PARAMS = dict(MODEL.named_parameters())
SCORES = Scores(metrics={"mse": MSE(), "psnr_unit": PSNR()})


def images(n: int, seed: int = 0) -> Tensor:
    return torch.rand(n, 1, 3, 3, generator=torch.Generator().manual_seed(seed))


def noisy(truth: Batch, order: Sequence[int]) -> Batch:
    """The truth, its image k blurred by an amount that tells it apart, in another order."""
    shift = 1e-3 * torch.arange(1, len(truth) + 1).view(-1, 1, 1, 1)
    return Batch((truth.x * (1 - shift))[list(order)], truth.y[list(order)])


def assert_undone(truth: Batch, order: Sequence[int]) -> None:
    scored = SCORES(noisy(truth, order), truth, MODEL, PARAMS)
    expected = noisy(truth, range(len(truth)))
    assert torch.equal(scored.matched, expected.x)
    errors = (expected.x - truth.x).square().mean((1, 2, 3)).tolist()
    assert [row["mse"] for row in scored.rows] == pytest.approx(errors, rel=1e-4)
    assert [row["label"] for row in scored.rows] == truth.y.tolist()
    assert [row["label_inferred"] for row in scored.rows] == truth.y.tolist()


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_every_order_of_four_is_undone(order: tuple[int, ...]) -> None:
    """LeakPro applies the inverse permutation: right only where it is its own inverse."""
    assert_undone(Batch(images(4), torch.tensor([3, 1, 4, 1])), order)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 20).flatmap(lambda n: st.permutations(range(n))))
def test_every_order_is_undone(order: list[int]) -> None:
    assert_undone(Batch(images(len(order)), torch.arange(len(order))), order)


def test_the_assignment_is_the_best_in_total_and_not_greedy() -> None:
    truth = torch.tensor([0.4, 0.5, 1.0]).view(3, 1, 1, 1)
    found = torch.tensor([0.49, 0.9, 0.6]).view(3, 1, 1, 1)
    # Greedy takes .49 for .5 first and leaves .4 with .6.
    ours, theirs = match(found, truth)
    assert ours.tolist() == [0, 1, 2]
    assert theirs.tolist() == [0, 2, 1]


@pytest.mark.parametrize(("m", "n"), [(3, 5), (5, 3), (1, 4), (4, 1)])
def test_more_or_fewer_reconstructions_than_images(m: int, n: int) -> None:
    truth = images(n)
    chosen = torch.randperm(max(m, n), generator=torch.Generator().manual_seed(1))[:m]
    found = torch.cat([truth, images(m, seed=9)])[chosen]
    ours, theirs = match(found, truth)
    assert len(ours) == len(theirs) == min(m, n)
    assert ours.tolist() == sorted(set(ours.tolist()))
    assert len(set(theirs.tolist())) == len(theirs)
    for i, j in zip(ours.tolist(), theirs.tolist(), strict=True):
        if (found == truth[i]).flatten(1).all(1).any():
            assert torch.equal(found[j], truth[i])


def test_what_is_left_over_on_either_side_is_not_scored() -> None:
    truth = Batch(images(2), torch.tensor([0, 1]))
    surplus = Batch(torch.cat([images(3, seed=5), truth.x]), torch.tensor([7, 7, 7, 0, 1]))
    scored = SCORES(surplus, truth, MODEL, PARAMS)
    assert torch.equal(scored.matched, truth.x)
    assert [row["label_inferred"] for row in scored.rows] == [0, 1]
    fewer = SCORES(Batch(truth.x[1:], truth.y[1:]), truth, MODEL, PARAMS)
    assert fewer.positions == [1]
    assert torch.equal(fewer.matched, truth.x[1:])
    assert [(row["label"], row["exact"]) for row in fewer.rows] == [(1, True)]


def test_a_row_has_plain_values() -> None:
    truth = Batch(images(2), torch.tensor([0, 1]))
    found = Batch(torch.stack([truth.x[0], 1 - truth.x[1]]), torch.tensor([0, 0]))
    rows = SCORES(found, truth, MODEL, PARAMS).rows
    assert [list(row) for row in rows] == [
        ["label", "label_inferred", "label_correct", "exact", "mse", "psnr_unit", "success"]
    ] * 2
    assert rows[0] == {
        "label": 0,
        "label_inferred": 0,
        "label_correct": True,
        "exact": True,
        "mse": 0.0,
        "psnr_unit": pytest.approx(100),
        "success": True,
    }
    assert (rows[1]["label_correct"], rows[1]["exact"], rows[1]["success"]) == (False, False, False)
    assert {type(value) for row in rows for value in row.values()} == {int, bool, float}


def test_soft_labels_are_read_as_their_most_probable_class() -> None:
    truth = Batch(images(2), torch.tensor([[0.3, 0.7], [0.9, 0.1]]))
    rows = SCORES(Batch(truth.x, torch.tensor([1, 1])), truth, MODEL, PARAMS).rows
    assert [row["label"] for row in rows] == [1, 0]
    assert [row["label_correct"] for row in rows] == [True, False]


@pytest.mark.parametrize(
    ("metric", "threshold", "expected"),
    [("mse", 0.02, [True, False]), ("mse", 0.005, [False, False]), ("psnr_unit", 15.0, [True, False])],
)
def test_success_follows_the_direction_of_its_metric(
    metric: str, threshold: float, expected: list[bool]
) -> None:
    scores = Scores(metrics=SCORES.metrics, success_metric=metric, success_threshold=threshold)
    truth = Batch(torch.zeros(2, 1, 3, 3), torch.tensor([0, 1]))
    found = Batch(torch.stack([torch.full((1, 3, 3), v) for v in (0.1, 0.5)]), truth.y)
    assert [row["success"] for row in scores(found, truth, MODEL, PARAMS).rows] == expected


def test_success_is_unknown_where_its_metric_is_missing(tmp_path: object) -> None:
    scores = Scores(
        metrics={"lpips_vgg": LPIPS(weights=str(tmp_path))}, success_metric="lpips_vgg", success_threshold=0.1
    )
    truth = Batch(images(2), torch.tensor([0, 1]))
    rows = scores(truth, truth, MODEL, PARAMS).rows
    assert [(row["lpips_vgg"], row["success"]) for row in rows] == [(None, None)] * 2


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -0.5, 1.5])
@pytest.mark.parametrize("side", ["reconstruction", "truth"])
def test_images_that_can_not_be_scored_are_an_error(broken: float, side: str) -> None:
    whole = Batch(images(2), torch.tensor([0, 1]))
    bad = Batch(whole.x.clone(), whole.y)
    bad.x[1, 0, 0, 0] = broken
    pair = (bad, whole) if side == "reconstruction" else (whole, bad)
    with pytest.raises(ValueError, match=f"the {side} can't be scored"):
        SCORES(*pair, MODEL, PARAMS)


def test_scoring_changes_nothing() -> None:
    truth, found = Batch(images(3), torch.arange(3)), Batch(images(3, seed=1), torch.arange(3))
    copies = [t.clone() for t in (truth.x, truth.y, found.x, found.y)]
    first = SCORES(found, truth, MODEL, PARAMS).rows
    assert SCORES(found, truth, MODEL, PARAMS).rows == first
    assert all(torch.equal(a, b) for a, b in zip(copies, (truth.x, truth.y, found.x, found.y), strict=True))


def test_mistakes_in_the_configuration() -> None:
    with pytest.raises(pydantic.ValidationError, match="should be one of mse, psnr_unit"):
        Scores(metrics=SCORES.metrics, success_metric="psnr")
    with pytest.raises(pydantic.ValidationError, match="should be one of psnr_unit"):
        Scores(metrics={"psnr_unit": PSNR()})
    with pytest.raises(pydantic.ValidationError, match="every row has a column of that name"):
        Scores(metrics={"label": MSE()}, success_metric="label")


def test_directions_of_all_columns() -> None:
    assert SCORES.higher_is_better == {
        "mse": False,
        "psnr_unit": True,
        "label_correct": True,
        "success": True,
    }
