"""Losses that are a distance of updates and a regulariser, for code that differentiates the updates by hand."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.attacks.solvers.evaluator import Found
from harness.attacks.solvers.objective import Objective
from harness.attacks.solvers.variables import LOGITS, Layout, Variables
from harness.core import Observation, Params


@dataclass(frozen=True)
class Matched:
    """What such a loss is made of: see the marks `squared_matching` and `matching`."""

    distance: Literal["cosine", "l2"]
    regularizers: Callable[[Variables], dict[str, Tensor]]

    def found(
        self, layout: Layout, x: Tensor, mismatch: Tensor, images: Tensor, target: Tensor, slope: Tensor
    ) -> Found:
        """Loss and gradient [size] at x [size], from the mismatch and its slopes in the images and in the labels'
        probabilities `target` [n, classes]."""
        gradients = {"images": images}
        if LOGITS in layout.shapes:
            gradients[LOGITS] = target * (slope - (target * slope).sum(-1, keepdim=True))
        gradient = layout.flatten(gradients)
        with torch.enable_grad():
            point = x.detach().requires_grad_()
            terms = list(self.regularizers(layout.unflatten(point)).values())
            if not terms:
                return mismatch, gradient
            further = torch.stack(terms).sum()
            (own,) = torch.autograd.grad(further, point)
        return mismatch + further.detach(), gradient + own


def matched(attack: Objective, observation: Observation, known: Params) -> Matched | None:
    """What the attack's loss is made of; None: something else, or not in the network's own precision."""
    if getattr(attack, "autocast", False):
        return None
    kind = type(attack)
    if getattr(kind.loss, "squared_matching", False):
        return Matched("l2", lambda _: {})
    parts = [getattr(kind, name) for name in ("loss", "mismatch") if hasattr(kind, name)]
    if not all(getattr(part, "matching", False) for part in parts):
        return None
    distance: Literal["cosine", "l2"] = attack.distance  # type: ignore[attr-defined]
    return Matched(distance, lambda variables: attack.regularizers(variables, observation, known))


def targets(variables: Variables, known: Params, classes: int) -> Tensor:
    """The probabilities [n, classes] of the labels: those that are searched for, or those that are known."""
    if LOGITS in variables:
        return variables[LOGITS].softmax(-1)
    return F.one_hot(known["labels"], classes).to(variables["images"])


def mismatch(distance: Literal["cosine", "l2"], trial: Tensor, received: Tensor) -> tuple[Tensor, Tensor]:
    """The distance of two updates [size], and its slope in the first one [size]."""
    if distance == "l2":
        difference = trial - received
        return difference.square().sum(), 2 * difference
    inner, squared = (trial * received).sum(), trial.square().sum()
    root = (squared * received.square().sum()).sqrt()
    return 1 - inner / root, (trial * (inner / squared)).sub_(received).div_(root)
