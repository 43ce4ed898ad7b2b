"""What the progress bar of runs hears of the searches that are under way."""

from dataclasses import dataclass

from harness.base.progress import Bar
from harness.core import Watch

Client = tuple[int, int]
"""A run, by its number among those side by side, and the position of a client in it."""


class Shares:
    """Moves a bar by what is done of the clients that are being attacked."""

    def __init__(self, bar: Bar) -> None:
        self._bar, self._news = bar, ""
        self._shares: dict[Client, dict[int, float]] = {}

    def take(self, client: Client, restart: int, share: float, loss: float) -> None:
        """So much of a client's work is done in an attempt, whose newest loss is this."""
        self._shares.setdefault(client, {})[restart] = share
        self._bar.begin(self._sum, "  ".join(part for part in (f"loss {loss:.3g}", self._news) if part))

    def finish(self, client: Client, news: str) -> None:
        """A client is done, and this is what it brought."""
        self._shares.pop(client, None)
        self._news = news
        self._bar.advance(news, shares=self._sum)

    @property
    def _sum(self) -> float:
        return sum(share for attempts in self._shares.values() for share in attempts.values())


@dataclass(frozen=True, eq=False)
class Watching(Watch):
    """Hears of the search for one client, in so many attempts."""

    shares: Shares
    client: Client
    restarts: int

    def advance(self, restart: int, share: float, loss: float) -> None:
        self.shares.take(self.client, restart, share / self.restarts, loss)
