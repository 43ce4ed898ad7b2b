"""The Frechet distance of features, and what is compared by it."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from harness.config.composition import compose
from harness.priors.quality import features, frechet, samples


def drawn(seed: int, n: int = 400, d: int = 6) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=rng) @ torch.randn(d, d, generator=rng) + torch.randn(d, generator=rng)


def test_the_distance_is_that_of_the_matrix_root() -> None:
    one, other = drawn(0), drawn(1, n=300)
    a, b = one.double().numpy(), other.double().numpy()
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    apart = ((a.mean(0) - b.mean(0)) ** 2).sum()
    expected = apart + np.trace(first + second - 2 * np.real(sqrtm(first @ second)))
    assert frechet(one, other) == pytest.approx(float(expected), rel=1e-8)
    assert frechet(other, one) == pytest.approx(frechet(one, other), rel=1e-8)


def test_a_set_is_at_no_distance_from_itself() -> None:
    assert frechet(drawn(2), drawn(2)) == pytest.approx(0, abs=1e-8)


def test_a_shift_counts_by_its_square() -> None:
    assert frechet(drawn(3), drawn(3) + torch.tensor([3.0, 4, 0, 0, 0, 0])) == pytest.approx(25, rel=1e-5)


def test_fewer_images_than_features_are_no_obstacle() -> None:
    assert np.isfinite(frechet(drawn(4, n=5), drawn(5, n=5)))


def test_samples_are_always_the_same_and_seen_by_the_head() -> None:
    experiment = compose("prior=untrained", "prior.base=16", "prior.latent=4", "model=mlp", "model.hidden=8")
    network = experiment.prior.generator(experiment.dataset, None, "", 0)
    assert network is not None
    found = samples(network, 7, 10)
    assert found.shape == (7, 1, 32, 32)
    assert torch.equal(found, samples(network, 7, 10))
    assert features(experiment.model.build(experiment.dataset, 0, None), found).shape == (7, 8)
