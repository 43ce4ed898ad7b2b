"""The labels of a batch, repetitions included, from the mean representation of each class."""

import torch
from torch import Tensor

from harness.base.numbers import NonNegative
from harness.core import LabelInference, Observation, component
from harness.core.counts import whole
from harness.labels.predictions import head
from harness.labels.signal import bias_gradient, weight_gradient


@component
class ILRG(LabelInference):
    """Ma et al. 2023 (iLRG), section 3 (Zhu et al. 2024, eqs. 10-12): counts by least squares from the head alone.

    The gradient of a class's weights over that of its bias is about the mean representation of its images; the head
    turns that into their mean prediction. With P the predictions by class, counts k solve P' k - k = n b, sum k = n.
    Exact if the images of a class share their prediction; it gets worse the better the model fits.
    """

    shrinkage: NonNegative = 1.0
    """How much to mistrust a class whose bias hardly has a gradient, for its quotient is noise: it is drawn towards
    the representation that all classes share, in units of that gradient's variance under chance, 1 / (n classes).
    This is ours; 0 is the paper's plain quotient."""

    def counts(self, observation: Observation) -> Tensor:
        """Raises UserError for a head without bias."""
        bias, n = bias_gradient(observation, "ilrg").double(), observation.examples
        params = {name: value.double() for name, value in observation.params.items()}
        prediction = head(observation, params, self._embedding(observation, bias)).softmax(1)
        identity = torch.eye(len(bias), dtype=bias.dtype, device=bias.device)
        system = torch.cat([prediction.T - identity, torch.ones_like(bias)[None]])
        target = torch.cat([n * bias, bias.new_tensor([n])])
        solution: Tensor = torch.linalg.lstsq(system, target).solution
        return whole(solution, n)

    def _embedding(self, observation: Observation, bias: Tensor) -> Tensor:
        """The mean representation of the images of each class [classes, features]."""
        weight, squares = weight_gradient(observation).double(), bias.square()
        tiny = torch.finfo(torch.float32).tiny
        shared = bias @ weight / squares.sum().clamp_min(tiny)
        doubt = max(self.shrinkage / (observation.examples * len(bias)), tiny)
        return (bias[:, None] * weight + doubt * shared) / (squares + doubt)[:, None]
