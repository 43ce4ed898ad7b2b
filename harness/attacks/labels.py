"""What the labels alone leak: no image is searched for."""

import math
from typing import ClassVar

import torch

from harness.core import Attack, LabelInference, Observation, Reconstruction, component
from harness.core.counts import multiset


@component
class LabelLeakage(Attack):
    """Wainakh et al. 2022: how many images of each class a client has is itself a secret, which its update tells."""

    reconstructs_images: ClassVar[bool] = False
    labels: LabelInference
    """The rule that reads the labels off the update."""

    def reconstruct(self, observation: Observation, rng: torch.Generator) -> Reconstruction:
        """A label for every example of the client, as a sorted multiset; no images."""
        return Reconstruction(
            x=torch.empty(0, *observation.shape),
            y=multiset(self.labels.counts(observation)),
            loss=math.nan,  # nothing is minimised
            score=0.0,
            status="converged",
            iterations=0,
            evaluations=0,
        )
