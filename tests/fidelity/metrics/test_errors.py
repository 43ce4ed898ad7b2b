"""MSE, PSNR, MSE-R and success, from the numbers of two images."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.core import Batch, Classifier, generator
from harness.metrics.mse import MSE
from harness.metrics.psnr import PSNR
from harness.metrics.representation import RepresentationMSE
from harness.metrics.scores import Scores
from tests.conftest import SHAPE
from tests.fidelity.conftest import Fidelity


@pytest.fixture
def pair() -> tuple[Batch, Batch]:
    """Four images and what was made of them, from almost exact to unlike."""
    rng = generator("images")
    truth = torch.rand(4, *SHAPE, generator=rng, dtype=torch.float64)
    noise = torch.rand(4, *SHAPE, generator=rng, dtype=torch.float64)
    found = torch.stack(
        [torch.lerp(x, y, w) for x, y, w in zip(truth, noise, (1e-6, 0.01, 0.3, 1.0), strict=True)]
    )
    y = torch.zeros(4).long()
    return Batch(found, y), Batch(truth, y)


def mean_square(x: Tensor, y: Tensor) -> list[float]:
    """Of each pair of images, in plain numbers."""
    return [
        math.fsum((a - b) ** 2 for a, b in zip(u.flatten().tolist(), v.flatten().tolist(), strict=True))
        / u.numel()
        for u, v in zip(x, y, strict=True)
    ]


def test_mean_squared_error(pair: tuple[Batch, Batch], classifier: Classifier, fidelity: Fidelity) -> None:
    found, truth = pair
    error = mean_square(found.x, truth.x)
    fidelity(
        "metric",
        "mse",
        "mean (x' - x)^2 on [0, 1]",
        MSE()(*pair, classifier, {}),
        error,
    )
    signed = mean_square(2 * found.x - 1, 2 * truth.x - 1)
    fidelity(
        "metric",
        "mse_ggl",
        "mean (x' - x)^2 on [-1, 1] (Li et al. 2022, MSE-I)",
        MSE(convention="ggl")(*pair, classifier, {}),
        signed,
    )


def test_peak_signal_to_noise(pair: tuple[Batch, Batch], classifier: Classifier, fidelity: Fidelity) -> None:
    found, truth = pair
    unit = [10 * math.log10(1 / error) for error in mean_square(found.x, truth.x)]
    fidelity(
        "metric",
        "psnr_unit",
        "10 log10(1 / MSE) on [0, 1], at most 100 dB",
        PSNR()(*pair, classifier, {}),
        [min(value, 100.0) for value in unit],
    )
    signed = [-10 * math.log10(error) for error in mean_square(2 * found.x - 1, 2 * truth.x - 1)]
    fidelity(
        "metric",
        "psnr_ggl",
        "-10 log10 MSE on [-1, 1] with peak 1 (Li et al. 2022, code), at most 94 dB",
        PSNR(convention="ggl")(*pair, classifier, {}),
        [min(value, 100 - 10 * math.log10(4)) for value in signed],
    )


def test_published_pairs_of_ggl_obey_the_convention(classifier: Classifier, fidelity: Fidelity) -> None:
    """Table 3, CelebA, GGL: MSE-I .0780, .0760, .0768, .0968 beside 11.0766, 11.1902, 11.1466, 10.1434 dB."""
    errors = [0.0780, 0.0760, 0.0768, 0.0968]
    truth = torch.zeros(4, *SHAPE, dtype=torch.float64)
    found = truth + torch.tensor(errors).double().sqrt().view(4, 1, 1, 1) / 2
    y = torch.zeros(4).long()
    fidelity(
        "metric",
        "psnr_ggl",
        "PSNR of the printed MSE-I (Li et al. 2022, table 3, CelebA, row GGL; four digits)",
        PSNR(convention="ggl")(Batch(found, y), Batch(truth, y), classifier, {}),
        [11.0766, 11.1902, 11.1466, 10.1434],
        tolerance=3e-4,
    )


def test_distance_of_representations(
    pair: tuple[Batch, Batch], classifier: Classifier, fidelity: Fidelity
) -> None:
    w = {name: value.numpy() for name, value in classifier.named_parameters()}

    def representation(x: Tensor) -> np.ndarray:
        padded = np.pad((x[0].numpy() - 0.5) / 0.5, 1)
        kernel, bias = w["network.0.weight"], w["network.0.bias"]
        maps = [
            [
                [(padded[r : r + 3, c : c + 3] * k[0]).sum() + b for c in range(0, 8, 2)]
                for r in range(0, 8, 2)
            ]
            for k, b in zip(kernel, bias, strict=True)
        ]
        hidden = 1 / (1 + np.exp(-np.array(maps).ravel()))
        return 1 / (1 + np.exp(-(w["network.3.weight"] @ hidden + w["network.3.bias"])))

    found, truth = pair
    expected = [
        float(np.mean((representation(a) - representation(b)) ** 2))
        for a, b in zip(found.x, truth.x, strict=True)
    ]
    fidelity(
        "metric",
        "mse_r",
        "mean (r' - r)^2 of the last linear layer's input (Li et al. 2022, MSE-R)",
        RepresentationMSE()(*pair, classifier, dict(classifier.named_parameters())),
        expected,
    )


def test_success_is_an_error_below_the_threshold(
    pair: tuple[Batch, Batch], classifier: Classifier, fidelity: Fidelity
) -> None:
    found, truth = pair
    scores = Scores(metrics={"mse": MSE()})(found, truth, classifier, dict(classifier.named_parameters()))
    expected = [float(error < 1e-3) for error in mean_square(found.x, truth.x)]
    assert 0 < sum(expected) < 4
    fidelity(
        "metric",
        "success",
        "MSE < 1e-3 on [0, 1], which is 30 dB",
        [float(row["success"]) for row in scores.rows],
        expected,
        tolerance=0,
    )
