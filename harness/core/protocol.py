"""What clients compute and send."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from harness.base.component import Component, Split, component
from harness.base.numbers import Count
from harness.base.threat import Need
from harness.core.dataset import Batch
from harness.core.gradient import Gradient, gradient
from harness.core.normalization import Normalization, Statistics, normalized, recorded
from harness.core.types import Params


@component
class Protocol(Component, ABC):
    """What a client computes from its data and sends: the same for simulated clients and for attackers.

    A new one writes `compute` and what the update means: `local_steps`, `mean_gradient` and `trained_params`.
    """

    batch_size: Count = 1
    dummies: Count | None = None
    """How many images an attack looks for; null: as many as the client holds, which in rounds is the most."""
    normalization: Normalization = "eval"
    """By what batch normalisation normalises, of the client and of who simulates it. eval: the running statistics, as
    papers 001 and 003 have it; train: those of each batch, as clients that train do; statistics: likewise, and the
    client sends its batches' means and variances, undefended, with which the attacker normalises."""

    @classmethod
    def needed(cls, settings: Mapping[str, Any]) -> frozenset[Need]:
        """An attacker is handed what the client sends."""
        sent = settings.get("normalization") == "statistics"
        return cls.needs | {Need.STATISTICS} if sent else cls.needs

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

    @final
    def update(
        self,
        model: nn.Module,
        params: Params,
        batch: Batch,
        order: Sequence[Tensor] | None = None,
        statistics: Statistics | None = None,
        gradient: Gradient = gradient,
    ) -> Params:
        """The client's update: pure and differentiable in the batch, for the honest client and the attacker alike.

        `order` lists the indices of each local step; None is the order of the batch, the only one an attacker knows.
        `statistics` are those that a client has sent, to normalise by; None: the batch's own, where it comes to that.
        `gradient` is how that of a local step is computed: a defence may have the client do it in another way.
        """
        with normalized(model, self.normalization, statistics):
            return self.compute(model, params, batch, order, gradient)

    @final
    def statistics(
        self, model: nn.Module, params: Params, batch: Batch, order: Sequence[Tensor] | None = None
    ) -> Statistics | None:
        """What a client sends beside its update; None: nothing."""
        if self.normalization != "statistics":
            return None
        with recorded(model) as found:
            self.update(model, params, batch, order)
            return found()

    @abstractmethod
    def compute(
        self,
        model: nn.Module,
        params: Params,
        batch: Batch,
        order: Sequence[Tensor] | None,
        gradient: Gradient,
    ) -> Params:
        """As `update`, with the network in the mode that the protocol has."""

    @abstractmethod
    def local_steps(self, examples: int) -> int:
        """How many local steps a client with so many images makes; 1 where it sends a gradient instead."""

    @abstractmethod
    def mean_gradient(self, update: Params, examples: int) -> Params:
        """An update as the mean gradient over the client's local steps, whatever scaling it was sent in."""

    @abstractmethod
    def trained_params(self, params: Params, update: Params, examples: int) -> Params:
        """The client's weights after its last local step, from those that it was sent and its update."""

    def order(self, rng: torch.Generator) -> Sequence[Tensor] | None:
        """The client's own, secret order of its examples."""
        return None

    def epochs(self, examples: int) -> list[list[Tensor]]:
        """The indices of every local step, epoch by epoch, for a client that takes its examples in their own order."""
        return [[torch.arange(examples)]]
