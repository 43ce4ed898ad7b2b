"""The base of every way of dealing out a data set."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from harness.core import Component, component


@component
class Partition(Component, ABC):
    """Deals out the rows of a data set to clients: every row to exactly one. A new one writes `deal`."""

    @final
    def __call__(self, labels: Tensor, clients: int, rng: torch.Generator) -> list[Tensor]:
        """The rows of each client, ascending: int64 positions in `labels` [n], together all of them once."""
        parts = [part.sort().values for part in self.deal(labels, clients, rng)]
        if len(parts) != clients or torch.cat(parts).sort().values.ne(torch.arange(len(labels))).any():
            raise RuntimeError(f"{type(self).__name__} lost rows or dealt them twice")
        return parts

    @abstractmethod
    def deal(self, labels: Tensor, clients: int, rng: torch.Generator) -> Sequence[Tensor]:
        """The rows of each client, in any order. Raises UserError where the settings can't be met."""


def shuffled(rows: Tensor, rng: torch.Generator) -> Tensor:
    """The same rows in random order."""
    return rows[torch.randperm(len(rows), generator=rng)]
