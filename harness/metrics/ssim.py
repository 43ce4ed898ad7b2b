"""Structural similarity. torchmetrics has it too, and takes longer to import than a small run takes in all."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from harness.core import Batch, Classifier, Metric, Params, component

WINDOW = 11
"""Pixels across the Gaussian window with its standard deviation of 1.5."""
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2
"""What keeps the quotient finite, for a data range of 1."""


@component
class SSIM(Metric):
    """Wang et al. 2004, data range 1, Gaussian window of 11 pixels; borders are reflected, as in torchmetrics.

    Missing for images that are smaller than the window.
    """

    higher_is_better = True
    needs_model = False

    def __call__(
        self, reconstruction: Batch, truth: Batch, model: Classifier, params: Params
    ) -> Tensor | None:
        if min(truth.x.shape[-2:]) < WINDOW:
            return None
        x, y = (
            pad(images.double(), [WINDOW // 2] * 4, mode="reflect") for images in (reconstruction.x, truth.x)
        )
        window = _window().to(x.device).expand(x.shape[1], 1, WINDOW, WINDOW)
        moments = conv2d(torch.cat([x, y, x * x, y * y, x * y]), window, groups=x.shape[1])
        mean_x, mean_y, square_x, square_y, product = moments.chunk(5)
        variances = (square_x - mean_x**2).clamp(min=0) + (square_y - mean_y**2).clamp(min=0)
        luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
        structure = (2 * (product - mean_x * mean_y) + C2) / (variances + C2)
        return (luminance * structure).flatten(1).mean(1)


def _window() -> Tensor:
    """The weights [11, 11] of a pixel's neighbours."""
    distance = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    weights = torch.exp(-((distance / SIGMA) ** 2) / 2)
    return torch.outer(weights, weights) / weights.sum() ** 2
