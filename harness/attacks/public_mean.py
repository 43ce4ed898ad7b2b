"""A control: the mean of public images, whatever the client sent."""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness.attacks.images import known_labels
from harness.base.threat import Need
from harness.core import Attack, Images, LabelInference, Observation, Reconstruction, UserError, component
from harness.store.cache import Entry


class Means(nn.Module):
    """The mean image of each class [classes, c, h, w], and of all [c, h, w]."""

    classes: Tensor
    all: Tensor

    def __init__(self, observation: Observation) -> None:
        super().__init__()
        self.register_buffer("classes", torch.zeros(observation.classes, *observation.shape))
        self.register_buffer("all", torch.zeros(observation.shape))

    def measure(self, public: Images) -> None:
        """Raises UserError for a class without images."""
        counts = torch.bincount(public.labels.cpu(), minlength=len(self.classes))
        if not bool(counts.all()):
            raise UserError(f"attack=public_mean: no public image of class {int(counts.argmin())}")
        sums = torch.zeros(self.classes.shape, dtype=torch.float64)
        for row in range(len(public)):
            image, label = public[row]
            sums[label] += image
        self.classes.copy_(sums / counts.view(-1, 1, 1, 1))
        self.all.copy_(sums.sum(0) / len(public))


@component
class PublicMean(Attack):
    """What an inverter has to beat that learns from public images (LTI, Wu et al. 2023): their mean, or their class's.

    It reads nothing but the labels off the update, and those only by class.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.BASICS, Need.PUBLIC})
    learns: ClassVar[bool] = True
    labels: LabelInference
    by_class: bool = False
    """The mean of the public images of each inferred label, not of all."""

    def learn(self, observation: Observation, cache: str, source: Mapping[str, object]) -> Means:
        """The means, from the cache where they are there."""
        public = observation.knowledge.public
        assert public is not None, "the configuration was checked"
        means = Means(observation)
        entry = Entry.of(cache, type(self).__name__, {"public": dict(source)}, "means")

        def train() -> None:
            means.measure(public)
            entry.save(means)

        entry.fill(means, train)
        return means.to(next(iter(observation.params.values())))

    def reconstruct(self, observation: Observation, rng: torch.Generator) -> Reconstruction:
        means = observation.knowledge.learned
        assert isinstance(means, Means)
        labels = known_labels(observation, self.labels)
        images = means.classes[labels] if self.by_class else means.all.expand(observation.n, -1, -1, -1)
        return Reconstruction(images, labels, math.nan, 0.0, "budget", iterations=1, evaluations=0)
