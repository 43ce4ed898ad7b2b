"""A few classes for every client."""

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.base.numbers import Count
from harness.core import component
from harness.federated.partitions.partition import Partition, shuffled


@component
class Shards(Partition):
    """Sort by class, cut into equal shards, and give every client some of them (McMahan et al. 2017, section 3)."""

    shards_per_client: Count = 2

    def deal(self, labels: Tensor, clients: int, rng: torch.Generator) -> Sequence[Tensor]:
        rows = shuffled(torch.arange(len(labels)), rng)
        by_class = rows[labels[rows].argsort(stable=True)]
        shards = by_class.tensor_split(clients * self.shards_per_client)
        drawn: list[int] = torch.randperm(len(shards), generator=rng).tolist()
        return [torch.cat([shards[shard] for shard in drawn[client::clients]]) for client in range(clients)]
