"""FedAvg: the client trains for some epochs and sends how far its weights have moved."""

import math
from collections.abc import Sequence
from dataclasses import field
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from harness.base.numbers import Count, Fraction, Natural, NonNegative, Positive, ProperFraction, Steps
from harness.base.threat import Need
from harness.core import Batch, Params, Protocol, component
from harness.core.gradient import Gradient
from harness.federated.partitions.iid import IID
from harness.federated.partitions.partition import Partition


@component
class FedAvg(Protocol):
    """Local epochs of minibatch SGD (McMahan et al. 2017, algorithm 1), differentiable from end to end.

    The update is theta_0 - theta_T: gradient-like, so that one step is `lr` times FedSGD's update. With `clients` there
    are rounds: the server averages what the clients send, and goes on from there (harness/simulation/simulation.py).
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.TRAINING})
    examples_per_client: Count = 1
    """Images that the client holds and trains on; in rounds the partition decides."""
    local_epochs: Steps = 1
    lr: Positive = 0.1
    momentum: ProperFraction = 0.0
    """Of the local SGD."""
    weight_decay: NonNegative = 0.0
    scaling: Literal["raw", "per_step", "per_lr"] = "raw"
    """What is handed on: the difference itself (as Zhu et al. 2024 do), divided by the number of steps, or by lr."""

    clients: Count | None = None
    """How many clients there are; null: no rounds, each update is the first of its client's."""
    partition: Partition = field(default_factory=IID)
    """How the training images are dealt out to the clients."""
    participation: Fraction = 1.0
    """C: the part of the clients that are asked in a round; 0: one client (McMahan et al. 2017, table 1)."""
    dropout: ProperFraction = 0.0
    """How likely it is that a client that was asked does not answer."""
    keep_momentum: bool = False
    """Whether a client goes on in its next round with the momentum of its last one, as Zhu et al. 2024 do; if not,
    it starts every round without any. Nobody else knows it: attackers simulate a client without any."""
    lr_decay: Annotated[Positive, Field(le=1)] = 1.0
    """The factor of lr from one round to the next."""
    attack_every: Steps = 1
    """Rounds from one attack to the next."""
    first_attack: Steps = 1
    """The first attacked round. In round 1 the model is untrained."""
    victims: Count | list[Natural] = 1
    """How many clients are drawn in an attacked round, or which ones, by number from 0, if they answer."""

    version: ClassVar[int] = 2
    of_rounds: ClassVar[tuple[str, ...]] = (
        *("partition", "participation", "dropout", "keep_momentum", "lr_decay"),
        *("attack_every", "first_attack", "victims"),
    )
    """Settings that need `clients`."""

    @property
    def in_rounds(self) -> bool:
        return self.clients is not None

    @property
    def examples(self) -> int:
        return self.examples_per_client

    def local_steps(self, examples: int) -> int:
        return self.local_epochs * math.ceil(examples / self.batch_size)

    def divisor(self, steps: int) -> float:
        """What the difference of the weights is divided by before it is sent."""
        return {"raw": 1.0, "per_step": float(steps), "per_lr": self.lr}[self.scaling]

    def order(self, rng: torch.Generator) -> list[Tensor]:
        """A fresh shuffle for every epoch, cut into minibatches; the last one may be smaller."""
        epochs = (torch.randperm(self.examples, generator=rng) for _ in range(self.local_epochs))
        return [step for epoch in epochs for step in torch.split(epoch, self.batch_size)]

    def epochs(self, examples: int) -> list[list[Tensor]]:
        return [list(torch.arange(examples).split(self.batch_size)) for _ in range(self.local_epochs)]

    def compute(
        self,
        model: nn.Module,
        params: Params,
        batch: Batch,
        order: Sequence[Tensor] | None,
        gradient: Gradient,
    ) -> Params:
        """Weights before minus weights after local training as torch.optim.SGD does it, scaled."""
        if order is None:
            order = [step for epoch in self.epochs(len(batch.x)) for step in epoch]
        weights, velocity = params, dict[str, Tensor]()
        for step in order:
            gradients = gradient(model, weights, Batch(batch.x[step], batch.y[step]))
            if self.weight_decay:
                gradients = {name: g + self.weight_decay * weights[name] for name, g in gradients.items()}
            if self.momentum and velocity:
                gradients = {name: g + self.momentum * velocity[name] for name, g in gradients.items()}
            velocity = gradients
            weights = {name: weights[name] - self.lr * velocity[name] for name in weights}
        divisor = self.divisor(len(order))
        return {name: (params[name] - weights[name]) / divisor for name in params}

    def mean_gradient(self, update: Params, examples: int) -> Params:
        """(theta_0 - theta_T) / (lr * steps): exact for plain SGD.

        Momentum carries gradients on, each as often as there are steps to come: exact where they stay the same, and
        where the client had no momentum to begin with.
        """
        steps, kept = self.local_steps(examples), self.momentum
        carried = kept * (1 - kept**steps) / (1 - kept)
        reach = (steps - carried) / (1 - kept)  # sum of kept**age over all steps
        divisor = {"raw": self.lr * reach, "per_step": self.lr * (reach / steps), "per_lr": reach}[
            self.scaling
        ]
        return {name: value / divisor for name, value in update.items()}

    def trained_params(self, params: Params, update: Params, examples: int) -> Params:
        factor = self.divisor(self.local_steps(examples))
        return {name: value - factor * update[name] for name, value in params.items()}
