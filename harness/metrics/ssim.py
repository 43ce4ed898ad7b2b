"""Structural similarity."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from harness.core import Batch, Classifier, Metric, Params, component

WINDOW, DEVIATION = 11, 1.5
"""Pixels across the Gaussian window, and its standard deviation."""
LUMINANCE, CONTRAST = 0.01**2, 0.03**2
"""C1 and C2, which keep quotients of dark and of flat windows from being unstable."""


@component
class SSIM(Metric):
    """Wang et al. 2004, equation 13, data range 1; borders are reflected, as in torchmetrics.

    Missing for images that are smaller than the window.
    """

    higher_is_better = True
    needs_model = False

    def __call__(
        self, reconstruction: Batch, truth: Batch, model: Classifier, params: Params
    ) -> Tensor | None:
        if min(truth.x.shape[-2:]) < WINDOW:
            return None
        x, y = reconstruction.x.double(), truth.x.double()
        mean_x, mean_y, xx, yy, xy = _windows(torch.stack([x, y, x * x, y * y, x * y]))
        product, squares = mean_x * mean_y, mean_x.square() + mean_y.square()
        variances = (xx - mean_x.square()).clamp(min=0) + (yy - mean_y.square()).clamp(min=0)
        above = (2 * product + LUMINANCE) * (2 * (xy - product) + CONTRAST)
        below = (squares + LUMINANCE) * (variances + CONTRAST)
        return torch.mean((above / below).flatten(1), dim=1)


def _windows(maps: Tensor) -> Tensor:
    """The weighted mean around every pixel of maps [k, n, c, h, w]: the window is a product, column times row."""
    place = torch.arange(WINDOW, dtype=maps.dtype, device=maps.device) - WINDOW // 2
    weights = torch.exp(-place.square() / (2 * DEVIATION**2))
    weights = weights / weights.sum()
    flat = pad(maps.flatten(0, 1), [WINDOW // 2] * 4, mode="reflect").flatten(0, 1).unsqueeze(1)
    return conv2d(conv2d(flat, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1)).view(maps.shape)
