"""Clients that attack from inside federated rounds."""

from abc import ABC, abstractmethod

import torch
from torch import nn

from harness.base.component import Component, component
from harness.base.numbers import Count, Natural
from harness.core.dataset import Batch
from harness.core.model import Classifier
from harness.core.types import Params, Shape


@component
class Adversary(Component, ABC):
    """A client that attacks from inside: it is asked in every round in which it takes part, and has a state of its own.

    What it knows is its own images and the model that it is sent. In its round it trains and sends as others do, from
    what `act` returns; all that lasts is in the state's parameters, buffers and extra state, which the simulation keeps
    in its checkpoint.
    """

    client: Natural = 0
    """Its number among the clients."""
    tracked: Natural = 3
    """The class whose images it wants."""
    pictures: Count = 16
    """How many it makes in every round that is looked at."""

    def own(self, held: Batch) -> Batch:
        """The images that it makes use of, of those that it holds."""
        return held

    @abstractmethod
    def begin(self, shape: Shape, seed: int) -> nn.Module:
        """Its state before the first round, for images of a shape."""

    @abstractmethod
    def act(
        self, state: nn.Module, model: Classifier, held: Batch, number: int, rng: torch.Generator
    ) -> tuple[Params, Batch]:
        """The weights that its local training of a round begins with, and the images that it trains on.

        `model` is the global one and `held` the images that it holds; neither is altered, the state is.
        """
