"""What a model makes of images that the attacker has: predictions and representations."""

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.core import Observation, Params, Unreadable, generator, normalized
from harness.models.head import head_input, head_parameters


def gaussian_images(observation: Observation, count: int) -> Tensor:
    """Dummies [count, c, h, w] that are N(0, 1) in the network's units, the same at every call."""
    x = torch.randn(count, *observation.shape, generator=generator("labels", "dummies"))
    return observation.model.normalize.invert(x.to(next(iter(observation.params.values()))))


@torch.no_grad()
def outputs(observation: Observation, params: Params, x: Tensor) -> tuple[Tensor, Tensor]:
    """The logits [n, classes] of images, and the representation [n, features] that the head sees.

    The network is in the mode of the client's: where that normalises by its batch, by these images. Raises Unreadable
    where they are not finite: the weights are those of a training that diverged.
    """
    with normalized(observation.model, observation.protocol.normalization):
        seen = head_input(observation.model, params, x)
    logits = head(observation, params, seen)
    if not bool(torch.isfinite(logits).all()):
        raise Unreadable(
            "labels can't be inferred: the client's weights give predictions that are not finite"
        )
    return logits, seen


def head(observation: Observation, params: Params, seen: Tensor) -> Tensor:
    """The logits [n, classes] of representations [n, features]; what was not sent is as the model has it."""
    weight, bias = (
        None if name is None else params.get(name, observation.model.get_parameter(name))
        for name in head_parameters(observation.model)
    )
    assert weight is not None
    return F.linear(seen, weight.flatten(1), bias)


def statistics(observation: Observation, params: Params, x: Tensor) -> tuple[Tensor, Tensor]:
    """The mean prediction [classes] over images, and the mean over them of the sum of the representation [].

    Raises Unreadable where the latter is not positive: what it divides would change its sign.
    """
    logits, seen = outputs(observation, params, x)
    total = seen.sum(1).mean()
    if not bool(total > torch.finfo(total.dtype).eps * seen.shape[1]):
        raise Unreadable(
            f"labels can't be inferred: the head sees features that sum to {float(total):.3g} over the dummies, "
            "where the rule needs a positive sum"
        )
    return logits.softmax(1).mean(0), total
