"""What an update says about each class: the gradient of the head."""

import torch
from torch import Tensor

from harness.core import Classifier, Observation, Params, Unreadable, UserError
from harness.models.head import head_parameters


def class_signal(model: Classifier, update: Params) -> Tensor:
    """One number for each class [classes]: (its mean probability) - (its share of the labels), up to a scale.

    The gradient of the head's bias, where that is exact; for a head without bias the row sums of its weight's
    gradient, which weigh each image by the sum of its representation and need that to be positive.
    """
    weight, bias = head_parameters(model)
    return _finite(update, bias) if bias else _finite(update, weight).sum(1)


def head_gradient(observation: Observation) -> Tensor:
    """The gradient of the head's weight [classes, features]."""
    weight, _ = head_parameters(observation.model)
    return _finite(observation.update, weight)


def _finite(update: Params, name: str) -> Tensor:
    if name not in update:
        raise UserError(f"labels can't be inferred: the update holds no {name}")
    if not bool(torch.isfinite(update[name]).all()):
        raise Unreadable(f"labels can't be inferred: the update of {name} is not finite")
    return update[name].detach()
