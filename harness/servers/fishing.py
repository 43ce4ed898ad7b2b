"""What fishing servers have in common: behind the head, the update is one image's."""

import copy
from abc import ABC
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness.base.threat import Need
from harness.core import Classifier, Observation, Params, Protocol, UserError, component
from harness.federated.fedsgd import FedSGD
from harness.federated.scaling import mean_gradient
from harness.models.adapter import freeze
from harness.models.head import head_parameters
from harness.servers.server import ServerPolicy


@component
class Fishing(ServerPolicy, ABC):
    """Wen et al. 2022: a head behind which no image has a slope but the one that is wanted."""

    needs: ClassVar[frozenset[Need]] = frozenset({Need.BASICS, Need.PARAMETERS})
    several_steps: bool = False
    """Whether clients that take several local steps are read as if they took one: from the second step on the head has
    a weight for other classes, and their images leak in, which nobody tells apart."""

    def check(self, protocol: Protocol) -> None:
        several = protocol.local_steps(protocol.examples) > 1
        if protocol.in_rounds or (several and not self.several_steps):
            raise UserError(
                "server: fishing isolates the gradient of one step: say fl=fedsgd"
                + (
                    ""
                    if protocol.in_rounds
                    else ", or server.several_steps=true, which takes the rest for noise"
                )
            )
        if (protocol.dummies or protocol.examples) > 1:
            raise UserError("server: fishing isolates one image: say fl.dummies=1")

    def head(self, model: Classifier) -> tuple[nn.Module, Tensor, Tensor]:
        """The head with its weight and its bias. Raises UserError where it has no bias."""
        head = model.get_submodule(model.head)
        weight, bias = head.weight, head.bias
        if not isinstance(bias, torch.Tensor) or not isinstance(weight, torch.Tensor):
            raise UserError(f"server: the head, {model.head}, has no bias to fish with")
        return head, weight, bias

    def shown(self, model: Classifier, ask: Callable[[Classifier], Params]) -> int:
        """A class that the client has, by its update of an honest model, which pushes up the bias of no other (Zhao et
        al. 2020). Raises UserError where the head has no bias."""
        self.head(model)
        _, bias = head_parameters(model)
        return int(ask(model)[bias or ""].argmin())

    def received(self, observation: Observation) -> Observation:
        """The wanted image alone: its label, and n times the update behind the head, whose own part mixes all."""
        _, weight, _ = self.head(observation.model)
        wanted = weight.abs().sum(1).argmax().view(1)  # the one row that has a weight
        head = {name for name in head_parameters(observation.model) if name}
        model = copy.deepcopy(observation.model)
        freeze(model.get_submodule(model.head))
        mean = mean_gradient(observation)
        return replace(
            observation,
            protocol=FedSGD(batch_size=1, normalization=observation.protocol.normalization),
            model=model,
            params={name: value for name, value in observation.params.items() if name not in head},
            update={name: observation.examples * mean[name] for name in mean if name not in head},
            n=1,
            trained_on=1,
            knowledge=replace(observation.knowledge, labels=wanted),
        )
