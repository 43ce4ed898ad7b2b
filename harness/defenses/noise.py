"""Additive noise on the update."""

from collections.abc import Mapping
from typing import Any

import torch

from harness.base.numbers import NonNegative
from harness.base.privacy import Release
from harness.core import Batch, Classifier, Defense, Params, component


@component
class Noise(Defense):
    """Independent Gaussian noise N(0, sigma^2) on every entry of the update (Li et al. 2022, section 4.1).

    An attacker who knows the kind does nothing about it: the authors' ImageNet code. (Their CelebA code adds fresh
    noise with the true sigma to every trial, which only buries the signal.)
    """

    sigma: NonNegative = 0.1

    @classmethod
    def release(cls, settings: Mapping[str, Any]) -> Release:
        return Release("update", noise=settings["sigma"])

    def on_update(
        self, update: Params, model: Classifier, params: Params, batch: Batch, rng: torch.Generator
    ) -> Params:
        return {
            name: g + self.sigma * torch.randn(g.shape, generator=rng, dtype=g.dtype).to(g.device)
            for name, g in update.items()
        }
