"""What the progress bar and the loggers of runs hear of the searches that are under way."""

from dataclasses import dataclass, field

from PIL.Image import Image

from harness.base.progress import Bar
from harness.core import Attack, Batch, Moment, Watch
from harness.loggers.logger import News, Session
from harness.metrics.labels import count, score_counts
from harness.plots.pictures import pair
from harness.runs.targets import Client

Name = tuple[int, int]
"""A run, by its number among those side by side, and the position of a client in it."""


class Shares:
    """Moves a bar by what is done of the clients that are being attacked."""

    def __init__(self, bar: Bar) -> None:
        self._bar, self._news = bar, ""
        self._shares: dict[Name, dict[int, float]] = {}

    def take(self, client: Name, restart: int, share: float, loss: float) -> None:
        """So much of a client's work is done in an attempt, whose newest loss is this."""
        self._shares.setdefault(client, {})[restart] = share
        self._bar.begin(self._sum, "  ".join(part for part in (f"loss {loss:.3g}", self._news) if part))

    def finish(self, client: Name, news: str) -> None:
        """A client is done, and this is what it brought."""
        self._shares.pop(client, None)
        self._news = news
        self._bar.advance(news, shares=self._sum)

    @property
    def _sum(self) -> float:
        return sum(share for attempts in self._shares.values() for share in attempts.values())


@dataclass(eq=False)
class Watching(Watch):
    """Hears of the search for one client, and knows what the attacker does not: the truth, for pictures of both."""

    shares: Shares
    run: int
    client: Client
    attack: Attack
    session: Session
    drawn: dict[int, int] = field(default_factory=dict)
    """By attempt, how many pictures are due up to the last one."""

    def __post_init__(self) -> None:
        self.problem = self.client.problem.id
        self.listens = self.session.follows(self.problem)

    def advance(self, restart: int, share: float, loss: float) -> None:
        self.shares.take((self.run, self.problem), restart, share / self.attack.restarts, loss)

    def hear(self, moment: Moment) -> None:
        found = moment.batch() if moment.batch is not None and self._due(moment) else None

        def measure() -> dict[str, float]:
            accuracy = {} if found is None else {"label_accuracy": self._label_accuracy(found)}
            return {"loss": moment.loss, **moment.terms(), **accuracy}

        picture = None if found is None else self._picture(found)
        attempt = moment.restart if self.attack.restarts > 1 else None
        news = News(self.problem, attempt, moment.evaluation, moment.share, measure, picture)
        self.session.follow(news)

    def _due(self, moment: Moment) -> bool:
        """Whether it is time for a picture: at the start, and then every so many steps."""
        if not self.session.every:
            return False
        due = 1 + int(moment.share * self.attack.steps / self.session.every)
        if due <= self.drawn.get(moment.restart, 0):
            return False
        self.drawn[moment.restart] = due
        return True

    def _label_accuracy(self, found: Batch) -> float:
        """The share of labels that are right, whichever image each is of."""
        inferred, true = (
            count(labels.cpu(), self.client.problem.observation.classes)
            for labels in (found.y, self.client.truth.y)
        )
        return score_counts(inferred, true)["label_accuracy"]

    def _picture(self, found: Batch) -> Image:
        return pair(self.client.truth.x, found.x)
