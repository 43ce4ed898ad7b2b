"""Who hears how a search goes while it lasts: nobody, unless a problem says who."""

from collections.abc import Callable
from dataclasses import dataclass

from harness.core.dataset import Batch


@dataclass(frozen=True, eq=False)
class Moment:
    """A point that a search has come to: what it has found there is worked out only if somebody asks, at once."""

    restart: int
    evaluation: int
    share: float
    """Of the budget that is spent, in [0, 1]."""
    loss: float
    terms: Callable[[], dict[str, float]]
    """The regularisers in the loss, by name, with their weights."""
    batch: Callable[[], Batch] | None
    """Images [n, c, h, w] in [0, 1] and labels [n]; None where they can't be had at this moment."""


class Watch:
    """Hears of the search for one problem; here, it does not listen. What it hears of must not change what is found."""

    listens: bool = False

    def advance(self, restart: int, share: float, loss: float) -> None:
        """So much of the budget of an attempt is spent, and this is its newest loss; some times a second."""

    def hear(self, moment: Moment) -> None:
        """Each point of an attempt's trace, as it is come to."""


SILENT = Watch()
