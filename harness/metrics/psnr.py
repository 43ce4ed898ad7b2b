"""Peak signal-to-noise ratio."""

from typing import Literal

from torch import Tensor

from harness.core import Batch, Classifier, Metric, Params, component
from harness.metrics.mse import squared_error

FLOOR = 1e-10
"""The least mean squared error on [0, 1] that counts: an exact image has 100 dB, so that means stay finite."""


@component
class PSNR(Metric):
    """Peak signal-to-noise ratio of an image in dB, at most 100 in the unit convention."""

    higher_is_better = True
    needs_model = False

    convention: Literal["unit", "ggl"] = "unit"
    """unit: images in [0, 1], peak 1.

    ggl: images in [-1, 1] but still peak 1, as in GGL's code; always 10 log10(4) = 6.0206 dB less.
    """

    def __call__(self, reconstruction: Batch, truth: Batch, model: Classifier, params: Params) -> Tensor:
        error = squared_error(reconstruction.x, truth.x).clamp(min=FLOOR)
        return -10 * (error if self.convention == "unit" else 4 * error).log10()
