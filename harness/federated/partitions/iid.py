"""The same distribution for every client."""

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.core import component
from harness.federated.partitions.partition import Partition


@component
class IID(Partition):
    """Shuffle, and cut into parts that differ by one row at most (McMahan et al. 2017, section 3)."""

    def deal(self, labels: Tensor, clients: int, rng: torch.Generator) -> Sequence[Tensor]:
        return torch.randperm(len(labels), generator=rng).tensor_split(clients)
