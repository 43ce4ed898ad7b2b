"""Trap weights: a first layer whose units are switched on by few images."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from harness.base.numbers import Positive
from harness.base.threat import Need
from harness.core import Classifier, UserError, component, generator
from harness.servers.server import ServerPolicy


@component
class TrapWeights(ServerPolicy):
    """Boenisch et al. 2023, section 4.2: in each row of the first linear layer a random half of the entries is negative
    and the other half as large times a scale, so that few images switch a unit on.

    Of a unit that one image switched on, the quotient of the gradients of weight and bias is that image
    (`attack=quotients`), where the layer sees the images themselves. They must not be negative: model.normalize=none.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.BASICS, Need.PARAMETERS})
    sigma: Positive = 0.5
    """Deviation of the normal distribution whose absolute values the entries are."""
    scale: Positive = 0.95
    """Of the positive half: the larger, the more units are on."""

    def plant(self, model: Classifier, seed: int) -> None:
        """Raises UserError for a model without a linear layer with a bias, or one whose images may be negative."""
        layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
        if not layers or layers[0].bias is None:
            raise UserError("server=trap_weights: the first linear layer needs a bias")
        if bool((model.normalize.mean > 0).any()):
            raise UserError("server=trap_weights: images must not be negative: say model.normalize=none")
        rows, layer = trapped(layers[0].weight, self.sigma, self.scale, generator("server", seed)), layers[0]
        with torch.no_grad():
            layer.weight.copy_(rows)
            layer.bias.zero_()


def trapped(like: Tensor, sigma: float, scale: float, rng: torch.Generator) -> Tensor:
    """Rows like those of a weight [units, inputs]; of an odd number of inputs one has no weight."""
    units, inputs = like.shape
    sizes = (sigma * torch.randn(units, inputs // 2, generator=rng, dtype=torch.float64)).abs()
    rows = torch.cat([-sizes, scale * sizes, sizes.new_zeros(units, inputs % 2)], 1)
    return rows.gather(1, torch.rand(units, inputs, generator=rng).argsort(1)).to(like)
