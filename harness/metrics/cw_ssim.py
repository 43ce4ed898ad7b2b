"""Structural similarity of complex wavelets, without windows."""

import torch
from torch import Tensor

from harness.base.numbers import Depth, Positive
from harness.core import Batch, Classifier, Metric, Params, component
from harness.metrics.wavelets import transform


@component
class ComplexWaveletSSIM(Metric):
    """What the code of Guo et al. 2025, after that of Geiping et al., calls SSIM: no SSIM, and not Sampat et al. 2009.

    At each place of each scale (2 |sum x y*| + K) / (sum |x|^2 + sum |y|^2 + K), sums over six orientations and no
    window (Wang and Simoncelli 2005, eq. 4, sums over a window); the mean over places, channels and scales. Brightness
    counts little; a shift counts as much as with SSIM, for want of windows. Of images in [0, 1]: of normalised ones, as
    there, K alone is another.
    """

    higher_is_better = True
    needs_model = False

    scales: Depth = 5
    constant: Positive = 1e-6
    """K."""

    def __call__(self, reconstruction: Batch, truth: Batch, model: Classifier, params: Params) -> Tensor:
        both = (transform(batch.x.double(), self.scales) for batch in (reconstruction, truth))
        return torch.stack([self._similarity(x, y) for x, y in zip(*both, strict=True)]).mean(0)

    def _similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """Of one scale [n]: coefficients are [n, c, 6, h, w]."""
        product = (x * y.conj()).sum(2).abs()
        squares = (x.abs().square() + y.abs().square()).sum(2)
        return ((2 * product + self.constant) / (squares + self.constant)).flatten(1).mean(1)
