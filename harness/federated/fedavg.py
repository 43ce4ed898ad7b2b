"""FedAvg: the client trains for some epochs and sends how far its weights have moved."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from harness.core import Batch, Params, Protocol, component
from harness.federated.gradient import gradient


@component
class FedAvg(Protocol):
    """Local epochs of minibatch SGD (McMahan et al. 2017, algorithm 1), differentiable from end to end.

    The update is theta_0 - theta_T: gradient-like, so that one step is `lr` times FedSGD's update.
    """

    examples_per_client: PositiveInt = 1
    """Images that the client holds and trains on."""
    local_epochs: PositiveInt = 1
    lr: PositiveFloat = 0.1
    scaling: Literal["raw", "per_step", "per_lr"] = "raw"
    """What is handed on: the difference itself (paper 002's code), divided by the number of steps, or by lr."""

    @property
    def examples(self) -> int:
        return self.examples_per_client

    def steps(self, examples: int) -> int:
        """How many local steps a client with so many images makes."""
        return self.local_epochs * math.ceil(examples / self.batch_size)

    def order(self, rng: torch.Generator) -> list[Tensor]:
        """A fresh shuffle for every epoch, cut into minibatches; the last one may be smaller."""
        epochs = (torch.randperm(self.examples, generator=rng) for _ in range(self.local_epochs))
        return [step for epoch in epochs for step in torch.split(epoch, self.batch_size)]

    def epochs(self, examples: int) -> list[list[Tensor]]:
        return [list(torch.arange(examples).split(self.batch_size)) for _ in range(self.local_epochs)]

    def update(
        self, model: nn.Module, params: Params, batch: Batch, order: Sequence[Tensor] | None = None
    ) -> Params:
        """Weights before minus weights after local training, scaled."""
        if order is None:
            order = [step for epoch in self.epochs(len(batch.x)) for step in epoch]
        weights = params
        for step in order:
            step_gradient = gradient(model, weights, Batch(batch.x[step], batch.y[step]))
            weights = {name: weights[name] - self.lr * step_gradient[name] for name in weights}
        divisor = {"raw": 1.0, "per_step": float(len(order)), "per_lr": self.lr}[self.scaling]
        return {name: (params[name] - weights[name]) / divisor for name in params}
