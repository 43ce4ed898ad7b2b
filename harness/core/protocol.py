"""What clients compute and send."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.component import Component, Split, component
from harness.core.dataset import Batch
from harness.core.types import Params
from harness.numbers import Count


@component
class Protocol(Component, ABC):
    """What a client computes from its data and sends."""

    batch_size: Count = 1
    dummies: Count | None = None
    """How many images an attack looks for; null: as many as the client holds."""

    @property
    def reads(self) -> frozenset[Split]:
        return frozenset({"train"} if self.in_rounds else ())

    @property
    def in_rounds(self) -> bool:
        """Whether clients train a model together, round by round; if not, each sends its first update alone."""
        return False

    @property
    @abstractmethod
    def examples(self) -> int:
        """How many images stand behind one update."""

    @abstractmethod
    def update(
        self, model: nn.Module, params: Params, batch: Batch, order: Sequence[Tensor] | None = None
    ) -> Params:
        """The client's update: pure and differentiable in the batch, for the honest client and the attacker alike.

        `order` lists the indices of each local step; None is the order of the batch, the only one an attacker knows.
        """

    def order(self, rng: torch.Generator) -> Sequence[Tensor] | None:
        """The client's own, secret order of its examples."""
        return None

    def epochs(self, examples: int) -> list[list[Tensor]]:
        """The indices of every local step, epoch by epoch, for a client that takes its examples in their own order."""
        return [[torch.arange(examples)]]
