"""Robbing the Fed: an imprint block before any model."""

import dataclasses
from typing import ClassVar

from harness.base.threat import Need
from harness.core import Classifier, Model, UserError, component
from harness.models.imprint import Imprint, ImprintSettings, imprint_block
from harness.servers.server import ServerPolicy


@component
class ImprintServer(ServerPolicy, ImprintSettings):
    """Fowl et al. 2022 (RTF), section 3: `model=imprint_*` for every model, which keeps its own units."""

    needs: ClassVar[frozenset[Need]] = ImprintSettings.needs
    version: ClassVar[int] = 2

    def architecture(self, model: Model) -> Model:
        """Raises UserError for a model that has an imprint block."""
        if isinstance(model, Imprint):
            raise UserError("server=imprint: the model has an imprint block of its own: say server=honest")
        block = {f.name: getattr(self, f.name) for f in dataclasses.fields(ImprintSettings)}
        return Imprint(base=model, normalize=model.normalize, fresh=model.fresh, seed=model.seed, **block)

    def plant(self, model: Classifier, seed: int) -> None:
        """The block as it was before the network was trained with it."""
        _, block = imprint_block(model)
        block.plant_again()
