"""What clients do against attacks."""

from abc import ABC
from collections.abc import Mapping
from typing import Any

import torch

from harness.base.component import Component, component
from harness.base.privacy import Release
from harness.core.dataset import Batch
from harness.core.gradient import Gradient
from harness.core.model import Classifier
from harness.core.observation import Adaptation
from harness.core.types import Params


@component
class Defense(Component, ABC):
    """A client-side defence. Every hook is the identity unless overridden; none may alter its arguments."""

    @classmethod
    def release(cls, settings: Mapping[str, Any]) -> Release | None:
        """What it bounds and the noise on it, with these settings; None: neither."""
        return None

    def on_batch(self, batch: Batch, rng: torch.Generator) -> Batch:
        return batch

    def on_model(self, model: Classifier) -> Classifier:
        return model

    def on_gradient(self, gradient: Gradient, rng: torch.Generator) -> Gradient:
        """How the client computes the gradient of each local step, where it would have done so by `gradient`."""
        return gradient

    def on_update(
        self, update: Params, model: Classifier, params: Params, batch: Batch, rng: torch.Generator
    ) -> Params:
        return update

    def adaptations(self) -> tuple[Adaptation, ...]:
        """What an attacker who knows this kind of defence (not its secret parameter) does about it."""
        return ()
