"""What the survey proves, against counts, and against what goes beyond it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.papers.survey.theory import alone, block_parameters, cap, descent, theorem


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
    masses = torch.rand(30, generator=rng, dtype=torch.float64)
    masses /= masses.sum()
    drawn = torch.multinomial(masses, 8 * 20000, replacement=True, generator=rng).view(20000, 8)
    counts = torch.nn.functional.one_hot(drawn, 30).sum(1)
    assert alone(masses, 8) == pytest.approx(float((counts == 1).sum(1).double().mean()), abs=0.03)


def test_the_block_is_as_large_as_figure_10_says() -> None:
    published = {50: 0.31, 100: 0.62, 150: 0.92, 200: 1.23, 300: 1.85, 500: 3.08, 800: 4.92, 1000: 6.15}
    assert {bins: round(block_parameters(3072, bins) / 1e6, 2) for bins in published} == published


def test_a_generator_that_ends_in_tanh_is_capped() -> None:
    inside, bright = torch.full((1, 1, 2, 2), 0.5), torch.ones(1, 1, 2, 2)
    best = cap(torch.cat([inside, bright]).double(), [0.5], [0.25])
    assert math.isinf(best[0])
    assert float(best[1]) == pytest.approx(-20 * math.log10(0.25))  # it reaches .75
