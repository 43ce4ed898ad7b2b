"""What an update says about each class: the mean gradient of the head over the client's local steps."""

import torch
from torch import Tensor

from harness.core import Observation, Unreadable, UserError
from harness.federated.scaling import mean_gradient
from harness.models.head import head_parameters


def class_signal(observation: Observation, weights: bool = False) -> Tensor:
    """One number for each class [classes]: (its mean probability) - (its share of the labels), up to a scale.

    The gradient of the head's bias, where that is exact. For a head without bias, or if `weights` says so, the row
    sums of its weight's gradient, which weigh each image by the sum of its representation and need that to be positive.
    """
    _, bias = head_parameters(observation.model)
    return weight_gradient(observation).sum(1) if weights or bias is None else _finite(observation, bias)


def weight_gradient(observation: Observation) -> Tensor:
    """The mean gradient of the head's weight [classes, features]."""
    weight, _ = head_parameters(observation.model)
    return _finite(observation, weight).flatten(1)


def bias_gradient(observation: Observation, rule: str) -> Tensor:
    """The mean gradient of the head's bias [classes]. Raises UserError, naming the rule, for a head without one."""
    _, bias = head_parameters(observation.model)
    if bias is None:
        raise UserError(
            f"labels={rule} reads the bias of the head, and {observation.model.head} has none: "
            "say labels@attack.labels=llg_star"
        )
    return _finite(observation, bias)


def _finite(observation: Observation, name: str) -> Tensor:
    if name not in observation.update:
        raise UserError(f"labels can't be inferred: the update holds no {name}")
    found = mean_gradient(observation)[name].detach()
    if not bool(torch.isfinite(found).all()):
        raise Unreadable(f"labels can't be inferred: the update of {name} is not finite")
    return found
