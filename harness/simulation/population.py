"""The clients of a simulation: which images each holds."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from harness.core import Batch, Images, Shape, UserError, generator
from harness.datasets.splits import Subset
from harness.federated.partitions.partition import Partition

TEST_SHARE = 0.2
"""Of each client's images (the code of Zhu et al. 2024); what is left over is for training."""


class Population:
    """The images of a data set, dealt out to clients and kept in memory as the data set has them (bytes, mostly)."""

    def __init__(self, images: Images, partition: Partition, clients: int, seed: int) -> None:
        self.images = images
        self.pixels = _in_memory(images)
        self.train: list[Tensor] = []
        """The rows of each client that it trains on."""
        self.test: list[Tensor] = []
        """The rows of each client that it tests on: a fifth of them."""
        for client, rows in enumerate(partition(images.labels, clients, generator("partition", seed))):
            rng = generator("test part", seed, client)
            mixed = rows[torch.randperm(len(rows), generator=rng)]
            kept = len(rows) - int(TEST_SHARE * len(rows))
            self.train.append(mixed[:kept])
            self.test.append(mixed[kept:])
        self.holders = [client for client, rows in enumerate(self.train) if len(rows)]
        """The clients that hold data; the others take no part."""
        if not self.holders:
            raise UserError("fl.clients: the data set's train split is empty: lower dataset.public_fraction")

    def __len__(self) -> int:
        return len(self.train)

    @property
    def shape(self) -> Shape:
        """Of an image."""
        channels, height, width = self.batch(torch.tensor([0]), torch.device("cpu")).x.shape[1:]
        return channels, height, width

    def examples(self, client: int) -> int:
        """How many images a client trains on."""
        return len(self.train[client])

    def indices(self, client: int) -> list[int]:
        """The numbers in the data set of the images that a client trains on."""
        return [self.images.indices[row] for row in self.train[client].tolist()]

    def batch(self, rows: Tensor, device: torch.device) -> Batch:
        """Images and labels of some rows."""
        if self.pixels is None:
            x = torch.stack([self.images[row][0] for row in rows.tolist()])
        else:
            x = self.pixels[rows].to(device)
            x = x.float() / 255 if x.dtype == torch.uint8 else x
        return Batch(x.to(device), self.images.labels[rows].to(device))

    def held_out(self, device: torch.device, limit: int | None, size: int = 250) -> Iterator[Batch]:
        """The test images of all clients, or as many of them as the limit says, spread evenly."""
        rows = torch.cat(self.test)
        if limit is not None and limit < len(rows):
            rows = rows[torch.arange(limit) * len(rows) // limit]
        for part in rows.split(size):
            if len(part):
                yield self.batch(part, device)


def _in_memory(images: Images) -> Tensor | None:
    """All pixels [n, c, h, w]; None for images that are decoded one at a time."""
    if isinstance(images, Subset) and isinstance(images.pool.pixels, Tensor):
        rows: Sequence[int] = images.indices
        return images.pool.pixels[torch.tensor(rows, dtype=torch.int64)]
    return None
