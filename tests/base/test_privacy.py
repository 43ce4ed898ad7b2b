"""What noise is worth: beside the formula by brute force, by dp-accounting where it is installed, and in words."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.base.errors import UserError
from harness.base.privacy import DELTA, Release, epsilon, sampled_epsilon, told
from harness.config.composition import compose


def phi(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


def delta(e: float, m: float) -> float:
    """Of a Gaussian mechanism whose sensitivity is m standard deviations (Balle & Wang 2018, theorem 8)."""
    return phi(m / 2 - e / m) - math.exp(e) * phi(-m / 2 - e / m)


@given(noise=st.floats(0.5, 20), times=st.integers(1, 50))
@settings(max_examples=50, deadline=None)
def test_epsilon_is_where_delta_is_reached(noise: float, times: int) -> None:
    found = epsilon(noise, times)
    m = math.sqrt(times) / noise
    if found == 0:
        assert delta(0, m) <= DELTA
    elif found < 30:  # beyond, the brute formula runs out of digits
        assert delta(found, m) == pytest.approx(DELTA, rel=1e-4)


@given(noise=st.floats(0.02, 50), times=st.integers(1, 1000))
@settings(max_examples=50, deadline=None)
def test_less_noise_and_more_releases_are_worth_less(noise: float, times: int) -> None:
    assert 0 <= epsilon(noise, times) <= epsilon(noise, times + 1)
    assert epsilon(2 * noise, 4 * times) == pytest.approx(epsilon(noise, times), rel=1e-6, abs=1e-6)


def test_dp_accounting_finds_the_same() -> None:
    """Its loss distributions are tight from above, its Renyi accountant is looser."""
    dp = pytest.importorskip("dp_accounting")
    from dp_accounting.pld import PLDAccountant

    for noise, times in ((1.0, 1), (4.0, 40), (0.025, 1)):
        exact = epsilon(noise, times)
        theirs = PLDAccountant().compose(dp.GaussianDpEvent(noise), times).get_epsilon(DELTA)
        assert exact <= theirs <= exact * 1.001
        assert exact <= sampled_epsilon(noise, 1.0, times)


def test_without_dp_accounting_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "dp_accounting", None)
    with pytest.raises(UserError, match=r"constraints-dp.txt '.\[dp\]'"):
        sampled_epsilon(1.0, 0.1, 10)


def test_what_comes_after_noise_does_not_bound_it() -> None:
    clip, noise = Release("update", 4.0), Release("update", noise=0.1)
    assert clip.then(noise) == Release("update", 4.0, 0.1)
    assert noise.then(clip).bound is None
    assert clip.then(noise).then(Release("update", 1.0)) == Release("update", 4.0, 0.1)
    assert clip.then(Release("update", 9.0)).bound == 4.0
    steps = Release("step", 1.0, 2.0)
    assert steps.then(noise) == clip.then(steps) == steps


@pytest.mark.parametrize(
    ("overrides", "rows", "expected"),
    [
        (["defense=none"], [], ""),
        (["defense=clipping"], [], ""),
        (["defense=sparsification"], [], ""),
        (["defense=noise"], [], "none: sensitivity unbounded"),
        (["defense=noise", "defense.sigma=0"], [], ""),
        (["defense=clipping_noise"], [], f"{epsilon(0.025, 1):.3g} for an update, delta 1e-05"),
        (["defense=dpsgd"], [], f"{epsilon(4, 1):.3g} for an image, delta 1e-05"),
        (
            ["defense=dpsgd", "fl=fedavg", "fl.clients=2", "fl.local_epochs=3"],
            [{"round": 4, "examples": 9}, {"round": 8, "examples": 9}],
            f"{epsilon(4, 24):.3g} for an image after 8 rounds, delta 1e-05",
        ),
        (
            ["defense=clipping_noise", "fl=fedavg", "fl.clients=2", "fl.local_epochs=3"],
            [{"round": 8, "examples": 9}],
            f"{epsilon(0.025, 8):.3g} for an update after 8 rounds, delta 1e-05",
        ),
    ],
)
def test_it_is_told_of_a_configuration(overrides: list[str], rows: list[dict], expected: str) -> None:
    assert told(compose(*overrides, "dataset=digits32", "logger=none").config, rows) == expected
