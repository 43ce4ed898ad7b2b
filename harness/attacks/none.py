"""Nobody attacks: what a run in federated rounds then tells is how well its network learns."""

from dataclasses import replace
from typing import ClassVar

import torch

from harness.base.threat import Need
from harness.core import Attack, Observation, Reconstruction, component


@component
class NoAttack(Attack):
    """Nobody attacks. A row says how good the model is after so many rounds: `fl.attack_every` says how often."""

    needs: ClassVar[frozenset[Need]] = frozenset()
    attacks: ClassVar[bool] = False
    reconstructs_images: ClassVar[bool] = False

    def reconstruct(self, observation: Observation, rng: torch.Generator) -> Reconstruction:
        return replace(Reconstruction.of_nothing(observation, images=False), status="converged", score=0.0)
