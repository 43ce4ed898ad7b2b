"""One class for every client."""

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.core import component
from harness.federated.partitions.partition import Partition, shuffled


@component
class ByClass(Partition):
    """The extreme of skew: client k holds images of class k mod classes alone, and shares them with its like.

    With fewer clients than classes, client k holds every class that is k mod clients. A client whose class nobody
    has holds nothing.
    """

    def deal(self, labels: Tensor, clients: int, rng: torch.Generator) -> Sequence[Tensor]:
        classes = int(labels.max()) + 1 if len(labels) else 1
        held: list[list[Tensor]] = [[labels.new_empty(0)] for _ in range(clients)]
        for label in range(classes):
            sharing = range(label, clients, classes) if label < clients else [label % clients]
            rows = shuffled((labels == label).nonzero().flatten(), rng)
            for client, part in zip(sharing, rows.tensor_split(len(sharing)), strict=True):
                held[client].append(part)
        return [torch.cat(parts) for parts in held]
