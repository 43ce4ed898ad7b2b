"""Structural similarity."""

from typing import cast

from torch import Tensor

from harness import vision as vision  # before torchmetrics
from harness.core import Batch, Classifier, Metric, Params, component

WINDOW = 11
"""Pixels across the Gaussian window with its standard deviation of 1.5."""


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
        from torchmetrics.functional.image import structural_similarity_index_measure

        if min(truth.x.shape[-2:]) < WINDOW:
            return None
        similarity = structural_similarity_index_measure(
            reconstruction.x.double(), truth.x.double(), data_range=1.0, sigma=1.5, reduction="none"
        )
        return cast(Tensor, similarity)
