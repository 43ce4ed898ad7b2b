"""Distance between images as the attacked network sees them."""

from torch import Tensor

from harness.core import Batch, Classifier, Metric, Params, component
from harness.metrics.mse import squared_error
from harness.models.head import head_input


@component
class RepresentationMSE(Metric):
    """Mean squared error of the input of the last linear layer: the MSE-R of Li et al. 2022 (GGL)."""

    def __call__(self, reconstruction: Batch, truth: Batch, model: Classifier, params: Params) -> Tensor:
        like = next(iter(params.values()))
        found = head_input(model, params, reconstruction.x.to(like))
        return squared_error(found, head_input(model, params, truth.x.to(like)))
