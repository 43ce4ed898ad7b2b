"""What the survey proves, against counts, and against what goes beyond it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.papers.survey.theory import alone, alone_of_equal, block_parameters, cap, descent, theorem


def test_the_printed_bound_fails_at_a_step_that_it_allows() -> None:
    found = descent(math.sqrt(2 / 11))
    assert found.distance > 1e9
    assert found.printed < 1
    assert found.proven is None
    assert theorem().count("**no**") == 2


@given(st.floats(0.001, 1), st.floats(0.1, 5), st.floats(1, 50))
def test_the_proven_bound_holds(share: float, least: float, ratio: float) -> None:
    """At every step up to 2 / (mu + L), for every curvature between."""
    spectrum = [least, least * math.sqrt(ratio), least * ratio]
    found = descent(share * 2 / (least + least * ratio), spectrum)
    assert found.proven is not None
    assert found.distance <= found.proven * (1 + 1e-9)


@given(st.floats(1.0, 2.0))
def test_the_printed_bound_holds_between_one_and_two(share: float) -> None:
    found = descent(share / 11)
    assert found.distance <= found.printed * (1 + 1e-9)


def test_images_alone_are_as_many_as_expected() -> None:
    rng = torch.Generator().manual_seed(0)
    bins = torch.tensor([0] * 5 + [1] * 1 + [2] * 9 + [3] * 5)
    drawn = torch.stack([torch.randperm(20, generator=rng)[:4] for _ in range(20000)])
    counts = torch.nn.functional.one_hot(bins[drawn], 4).sum(1)
    expected = alone(torch.bincount(bins), 4)
    assert expected == pytest.approx(float((counts == 1).sum(1).double().mean()), abs=0.03)
    assert alone(torch.bincount(bins), 1) == pytest.approx(1)


def test_a_large_data_set_of_equal_bins_is_the_papers() -> None:
    assert alone(torch.full((1000,), 10**6), 64) == pytest.approx(alone_of_equal(1000, 64), rel=1e-5)
    assert alone_of_equal(1000, 64) == pytest.approx(60.1, abs=0.05)


def test_the_block_is_as_large_as_figure_10_says() -> None:
    published = {50: 0.31, 100: 0.62, 150: 0.92, 200: 1.23, 300: 1.85, 500: 3.08, 800: 4.92, 1000: 6.15}
    assert {bins: round(block_parameters(3072, bins) / 1e6, 2) for bins in published} == published


def test_a_generator_that_ends_in_tanh_is_capped() -> None:
    inside, bright = torch.full((1, 1, 2, 2), 0.5), torch.ones(1, 1, 2, 2)
    best = cap(torch.cat([inside, bright]).double(), [0.5], [0.25])
    assert math.isinf(best[0])
    assert float(best[1]) == pytest.approx(-20 * math.log10(0.25))  # it reaches .75
