"""Whether the images of one attack differ."""

from torch import Tensor

from harness.core import Batch, Classifier, Metric, Params, component


@component
class Spread(Metric):
    """The standard deviation of a pixel over the images found together, the mean over pixels: of a generator that has
    collapsed near zero, of a single image zero. Each image has that of all."""

    higher_is_better = True
    needs_model = False

    def __call__(self, reconstruction: Batch, truth: Batch, model: Classifier, params: Params) -> Tensor:
        deviation = reconstruction.x.double().std(0, correction=0).mean()
        return deviation.expand(len(reconstruction))
