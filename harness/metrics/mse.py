"""Mean squared error."""

from typing import Literal

from torch import Tensor

from harness.core import Batch, Classifier, Metric, Params, component


def squared_error(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared difference of each pair of examples [n], in double precision."""
    return (x.double() - y.double()).square().flatten(1).mean(1)


@component
class MSE(Metric):
    """Mean squared error of an image: the MSE-I of Li et al. 2022 (GGL)."""

    needs_model = False

    convention: Literal["unit", "ggl"] = "unit"
    """unit: images in [0, 1]. ggl: images in [-1, 1] as in GGL's code, so four times as much."""

    def __call__(self, reconstruction: Batch, truth: Batch, model: Classifier, params: Params) -> Tensor:
        error = squared_error(reconstruction.x, truth.x)
        return error if self.convention == "unit" else 4 * error
