"""Attacks that know, or first infer, the labels and then search for the images alone."""

from abc import ABC
from typing import ClassVar

import torch
from torch import Tensor

from harness.attacks.optimization import OptimizationAttack
from harness.attacks.solvers.variables import Variables
from harness.core import Batch, LabelInference, Observation, Params, component


def known_labels(observation: Observation, rule: LabelInference) -> Tensor:
    """The labels that the attacker was given, else those that the rule reads off the update: [n] int64."""
    given = observation.knowledge.labels
    return rule.labels(observation) if given is None else given


def initial_images(observation: Observation, rng: torch.Generator) -> Tensor:
    """N(0, 1) in the network's units, or the start that the attacker was given; both use up the same randomness."""
    drawn = torch.randn(observation.n, *observation.shape, generator=rng)
    start = observation.knowledge.start
    return drawn if start is None else observation.model.normalize(start)


def boxed(images: Tensor, observation: Observation) -> Tensor:
    """Images clamped to the range that [0, 1] has in the network's units."""
    normalize = observation.model.normalize
    low, high = (normalize(torch.full_like(normalize.mean, bound)) for bound in (0.0, 1.0))
    return torch.maximum(torch.minimum(images, high), low)


@component
class ImageSearch(OptimizationAttack, ABC):
    """Search for images in the network's own units from N(0, 1), with labels fixed beforehand."""

    accepts_start: ClassVar[bool] = True

    labels: LabelInference
    """The rule that reads the labels off the update."""
    boxed: bool = False
    """After every step, clamp the images to the range that [0, 1] has in the network's units."""

    @property
    def projects(self) -> bool:
        return self.boxed or type(self).project is not ImageSearch.project

    def prepare(self, observation: Observation) -> Params:
        return {"labels": known_labels(observation, self.labels), **super().prepare(observation)}

    def initial(self, observation: Observation, rng: torch.Generator) -> Variables:
        return {"images": initial_images(observation, rng)}

    def project(self, variables: Variables, observation: Observation) -> Variables:
        if not self.boxed:
            return variables
        return {"images": boxed(variables["images"], observation)}

    def decode(self, variables: Variables, observation: Observation, known: Params) -> Batch:
        return Batch(observation.model.normalize.invert(variables["images"]), known["labels"])
