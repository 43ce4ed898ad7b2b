"""Classes in random proportions."""

from collections.abc import Sequence

import numpy
import torch
from torch import Tensor

from harness.base.numbers import Natural, Positive, Steps
from harness.core import UserError, component
from harness.federated.partitions.partition import Partition, shuffled


@component
class Dirichlet(Partition):
    """Each class is cut among the clients in proportions from Dirichlet(beta), as the code of Zhu et al. 2024 has it.

    A client that already holds its even share gets nothing of the classes still to come, and all is drawn again while a
    client holds less than `minimum`. Small beta: each client has few classes; large beta: nearly IID.
    """

    beta: Positive = 0.5
    minimum: Natural = 15
    """Rows that every client must hold."""
    draws: Steps = 1000
    """How often to draw at most: the paper's code may go on for ever."""

    def deal(self, labels: Tensor, clients: int, rng: torch.Generator) -> Sequence[Tensor]:
        """Raises UserError when no draw gives every client its minimum."""
        count = len(labels)
        if self.minimum * clients <= count:
            order = shuffled(torch.arange(count), rng)
            groups = [order[labels[order] == label] for label in labels.unique()]
            dice = numpy.random.default_rng(int(torch.randint(2**62, (), generator=rng)))
            for _ in range(self.draws):
                cuts = self._draw([len(group) for group in groups], count / clients, clients, dice)
                if cuts.sum(0).min() >= self.minimum:
                    parts = [group.split(cut.tolist()) for group, cut in zip(groups, cuts, strict=True)]
                    return [torch.cat(part) for part in zip([order[:0]] * clients, *parts, strict=True)]
        raise UserError(
            f"fl.partition: no draw gave each of {clients} clients {self.minimum} of {count} images: lower "
            "fl.partition.minimum or fl.clients, or raise fl.partition.beta"
        )

    def _draw(
        self, sizes: list[int], share: float, clients: int, dice: numpy.random.Generator
    ) -> "numpy.ndarray[tuple[int, int], numpy.dtype[numpy.int64]]":
        """How many rows [classes, clients] of each class each client gets."""
        cuts = numpy.zeros((len(sizes), clients), dtype=numpy.int64)
        for cut, size in zip(cuts, sizes, strict=True):
            held = cuts.sum(0)
            weights = dice.dirichlet([self.beta] * clients) * (held < share)
            if not weights.sum():  # with a tiny beta all the weight can fall on clients that are full
                weights = numpy.where(held < share, 1.0, 0.0)
            ends = numpy.floor(weights.cumsum() / weights.sum() * size + 1e-9).astype(numpy.int64)
            ends[-1] = size
            cut[:] = numpy.diff(ends, prepend=0)
        return cuts
