"""Several defences, one after the other."""

from collections.abc import Mapping
from functools import reduce
from typing import Any

import torch

from harness.base.components import find
from harness.base.privacy import Release
from harness.core import Adaptation, Batch, Classifier, Defense, Gradient, Params, component


@component
class Composed(Defense):
    """Every hook of every defence in turn, e.g. clip and then add noise (Li et al. 2022, figure 6)."""

    defenses: list[Defense]

    @classmethod
    def release(cls, settings: Mapping[str, Any]) -> Release | None:
        kinds: list[tuple[Any, Any]] = [
            (find("defense", each["_target_"]), each) for each in settings["defenses"]
        ]
        found = [release for kind, each in kinds if (release := kind.release(each)) is not None]
        return reduce(Release.then, found) if found else None

    def on_batch(self, batch: Batch, rng: torch.Generator) -> Batch:
        for defense in self.defenses:
            batch = defense.on_batch(batch, rng)
        return batch

    def on_model(self, model: Classifier) -> Classifier:
        for defense in self.defenses:
            model = defense.on_model(model)
        return model

    def on_gradient(self, gradient: Gradient, rng: torch.Generator) -> Gradient:
        for defense in self.defenses:
            gradient = defense.on_gradient(gradient, rng)
        return gradient

    def on_update(
        self, update: Params, model: Classifier, params: Params, batch: Batch, rng: torch.Generator
    ) -> Params:
        for defense in self.defenses:
            update = defense.on_update(update, model, params, batch, rng)
        return update

    def adaptations(self) -> tuple[Adaptation, ...]:
        return tuple(adaptation for defense in self.defenses for adaptation in defense.adaptations())
