"""Structural similarity, window by window."""

import numpy as np
import pytest
import torch

from harness.core import Batch, Classifier, generator
from harness.metrics.ssim import SSIM
from tests.fidelity.conftest import Fidelity


def similarity(x: np.ndarray, y: np.ndarray) -> float:
    """Wang et al. 2004, equation 13 in a window around every pixel, averaged."""
    side = np.arange(11) - 5
    window = np.exp(-(side[:, None] ** 2 + side[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = 0.01**2, 0.03**2
    values = []
    height, width = x.shape
    x, y = (np.pad(side, 5, mode="reflect") for side in (x, y))
    for top in range(height):
        for left in range(width):
            u, v = x[top : top + 11, left : left + 11], y[top : top + 11, left : left + 11]
            mu, nu = (window * u).sum(), (window * v).sum()
            var_u, var_v = (window * (u - mu) ** 2).sum(), (window * (v - nu) ** 2).sum()
            covariance = (window * (u - mu) * (v - nu)).sum()
            values.append(
                (2 * mu * nu + c1) * (2 * covariance + c2) / ((mu**2 + nu**2 + c1) * (var_u + var_v + c2))
            )
    return float(np.mean(values))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_mean_over_windows_and_channels(
    channels: int, classifier: Classifier, fidelity: Fidelity
) -> None:
    rng = generator("images")
    truth = torch.rand(3, channels, 20, 17, generator=rng, dtype=torch.float64)
    noise = torch.rand(3, channels, 20, 17, generator=rng, dtype=torch.float64)
    found = torch.lerp(truth, noise, torch.tensor([0.01, 0.3, 1.0]).double().view(3, 1, 1, 1))
    y = torch.zeros(3).long()
    scores = SSIM()(Batch(found, y), Batch(truth, y), classifier, {})
    assert scores is not None
    expected = [
        float(np.mean([similarity(a.numpy(), b.numpy()) for a, b in zip(u, v, strict=True)]))
        for u, v in zip(found, truth, strict=True)
    ]
    fidelity(
        "metric",
        "ssim",
        "Wang et al. 2004, equation 13, Gaussian window of 11 with deviation 1.5, borders reflected (not theirs)",
        scores,
        expected,
    )
