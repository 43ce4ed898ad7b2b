"""Several defences, one after the other."""

import torch

from harness.core import Adaptation, Batch, Classifier, Defense, Params, component


@component
class Composed(Defense):
    """Every hook of every defence in turn, e.g. clip and then add noise (Li et al. 2022, figure 6)."""

    defenses: list[Defense]

    def on_batch(self, batch: Batch, rng: torch.Generator) -> Batch:
        for defense in self.defenses:
            batch = defense.on_batch(batch, rng)
        return batch

    def on_model(self, model: Classifier) -> Classifier:
        for defense in self.defenses:
            model = defense.on_model(model)
        return model

    def on_update(
        self, update: Params, model: Classifier, params: Params, batch: Batch, rng: torch.Generator
    ) -> Params:
        for defense in self.defenses:
            update = defense.on_update(update, model, params, batch, rng)
        return update

    def adaptations(self) -> tuple[Adaptation, ...]:
        return tuple(adaptation for defense in self.defenses for adaptation in defense.adaptations())
