"""Class fishing: a head by which the images of one class alone have a gradient."""

import copy
from dataclasses import replace
from typing import ClassVar

import torch

from harness.base.numbers import Natural, Positive
from harness.base.threat import Need
from harness.core import Classifier, Observation, Protocol, UserError, component
from harness.federated.scaling import mean_gradient
from harness.models.adapter import freeze
from harness.models.head import head_parameters
from harness.servers.server import ServerPolicy


@component
class ClassFishing(ServerPolicy):
    """Wen et al. 2022, section 3.2: the head's weight is zero but for the target's row, and all other biases are high.

    The other classes' images then have no slope behind the head. Where one image of the batch is of the target class,
    the update behind the head is that of this image over n: `received` isolates it. Of several images it is their sum.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.BASICS, Need.PARAMETERS})
    target: Natural = 0
    """The class whose image is wanted."""
    weight: Positive = 0.5
    """Every entry of the target's row."""
    bias: Positive = 1000.0
    """Of the other classes. 100 is enough for 1e-5; 10 is not."""

    def check(self, protocol: Protocol) -> None:
        if protocol.in_rounds or protocol.local_steps(protocol.examples) > 1:
            raise UserError("server=class_fishing: it isolates the gradient of one step: say fl=fedsgd")
        if (protocol.dummies or protocol.examples) > 1:
            raise UserError("server=class_fishing: it isolates one image: say fl.dummies=1")

    def plant(self, model: Classifier, seed: int) -> None:
        """Raises UserError for a head without a bias, or without the target class."""
        head = model.get_submodule(model.head)
        weight, bias = head.weight, head.bias
        if not isinstance(bias, torch.Tensor) or not isinstance(weight, torch.Tensor):
            raise UserError(f"server=class_fishing: the head, {model.head}, has no bias to fish with")
        if self.target >= len(bias):
            raise UserError(f"server.target={self.target}: classes are 0 to {len(bias) - 1}")
        others = torch.arange(len(bias), device=bias.device) != self.target
        with torch.no_grad():
            weight[others] = 0.0
            weight[self.target] = self.weight
            bias[others] = self.bias

    def received(self, observation: Observation) -> Observation:
        """The target's image alone: its label, and n times the update behind the head, whose own part mixes all."""
        head = {name for name in head_parameters(observation.model) if name}
        model = copy.deepcopy(observation.model)
        freeze(model.get_submodule(model.head))
        mean = mean_gradient(observation)
        return replace(
            observation,
            model=model,
            params={name: value for name, value in observation.params.items() if name not in head},
            update={name: observation.examples * mean[name] for name in mean if name not in head},
            n=1,
            trained_on=1,
            knowledge=replace(
                observation.knowledge, labels=torch.tensor([self.target]).to(next(iter(mean.values())).device)
            ),
        )
