"""Class fishing: a head by which the images of one class alone have a gradient."""

import copy
from collections.abc import Callable

import torch

from harness.base.numbers import Natural, Positive
from harness.core import Classifier, Images, Params, UserError, component
from harness.servers.fishing import Fishing


@component
class ClassFishing(Fishing):
    """Wen et al. 2022, section 3.2: the head's weight is zero but for the target's row, and all other biases are high.

    The other classes' images then have no slope behind the head. Where one image of the batch is of the target class,
    the update behind the head is that of this image over n: `received` isolates it. Of several images it is their sum.
    """

    target: Natural | None = 0
    """The class whose image is wanted; null: one that the client's update of the honest model shows that it has."""
    weight: Positive = 0.5
    """Every entry of the target's row."""
    bias: Positive = 1000.0
    """Of the other classes. 100 is enough for 1e-5; 10 is not."""

    def plant(self, model: Classifier, seed: int) -> None:
        """Raises UserError for a head without a bias, or without the target class."""
        if self.target is not None:
            self._aim(model, self.target)

    def approach(
        self, model: Classifier, ask: Callable[[Classifier], Params], public: Callable[[], Images]
    ) -> Classifier:
        """Where no target is named, the client is asked once more: its update tells a class that it has."""
        if self.target is not None:
            return model
        aimed = copy.deepcopy(model)
        self._aim(aimed, self.shown(model, ask))
        return aimed

    def _aim(self, model: Classifier, target: int) -> None:
        _, weight, bias = self.head(model)
        if target >= len(bias):
            raise UserError(f"server.target={target}: classes are 0 to {len(bias) - 1}")
        others = torch.arange(len(bias), device=bias.device) != target
        with torch.no_grad():
            weight[others] = 0.0
            weight[target] = self.weight
            bias[others] = self.bias
