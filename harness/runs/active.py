"""A run under way: its clients one after the other, and what the attacker has learnt from those before."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from harness.base import interruption
from harness.config.experiment import Experiment
from harness.core import SILENT, Attack, Problem, Reconstruction, Watch, generator
from harness.loggers.logger import Session
from harness.machine.ranks import ALONE, Share
from harness.runs.targets import Client, Targets
from harness.starts.policy import Memory, SearchResult
from harness.store.iterates import shown
from harness.store.recording import Journal


@dataclass(eq=False)
class ActiveRun:
    """The clients of a run that are not stored yet, in their order.

    Under a policy that learns, a client waits for the result of the one before it, which is read back from the store:
    a run that was killed learns the same again, and goes on with the same blend.
    """

    experiment: Experiment
    clients: Targets
    stored: Journal
    session: Session
    number: int = 0
    """Among the runs side by side."""
    share: Share = ALONE
    """Of the clients: the others' turn comes in other processes."""
    closing: ExitStack = field(default_factory=ExitStack)
    """Closes the session."""
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def __post_init__(self) -> None:
        self.closing.enter_context(self.session)
        self.policy = self.experiment.start
        self.memory: Memory = self.policy.begin(self.clients.public)
        self.position = 0
        self.pending: set[int] = set()

    @property
    def pictured(self) -> bool:
        """Whether what is found are images."""
        return self.experiment.attack.reconstructs_images

    @property
    def left(self) -> set[int]:
        """The clients that are not stored yet. There may be more in the store than are asked for."""
        return set(range(self.clients.trials)) - self.stored.finished

    @property
    def done(self) -> bool:
        return not self.left

    @property
    def exhausted(self) -> bool:
        """Every client that can be attacked by now is stored, handed out or another rank's."""
        if not self.done:
            self._catch_up()
        return self.done or self.position >= self.clients.available

    def next(self) -> Client | None:
        """The next client to attack; None: there is none, or none before a result has come."""
        if self.exhausted or (self.policy.learns and self.pending):
            return None
        position = self.position
        shape = (self.clients.dummies(position), *self.experiment.dataset.shape)
        rng = generator("start", self.experiment.seed, position)
        client = self.clients.client(position, self.policy.start(self.memory, shape, rng))
        self.pending.add(position)
        self.position += not self.policy.learns
        return client

    def _catch_up(self) -> None:
        """Go on to the next client that is to be attacked here, and learn from the stored ones on the way."""
        finished = self.stored.finished
        while self.position < self.clients.available:
            if self.position in finished:
                if self.policy.learns:
                    self.memory = self.policy.learn(self.memory, search_result(self.stored, self.position))
            elif self._shared(self.position):
                break
            self.position += 1

    def _shared(self, position: int) -> bool:
        """Whether a client is this rank's. Those of a policy that learns stay together: each waits for the last."""
        return self.share.has(self.number if self.policy.learns else self.number + position)


def search_result(stored: Journal, problem: int) -> SearchResult:
    """What the attacker saw of a stored problem."""
    row = shown(next(row for row in stored.rows if row["problem"] == problem), "last")
    loss = math.nan if row["loss"] is None else float(row["loss"])
    return SearchResult(stored.unclamped(problem), loss, row["status"])


def invert(
    attack: Attack, runs: Sequence[ActiveRun], watch: Callable[[ActiveRun, Client], Watch] | None = None
) -> Iterator[tuple[ActiveRun, Client, Reconstruction]]:
    """Attack the clients of all runs in one call of an attack, yielding each result as it comes.

    What comes must be stored before the next result is asked for. An interruption ends the problems, not those
    that are under way.
    """
    under_way: dict[int, tuple[ActiveRun, Client]] = {}
    # Those that must wait for results come first: they are what takes longest.
    waiting = sorted(runs, key=lambda one: not one.policy.learns)

    def problems() -> Iterator[Problem | None]:
        count = 0
        while not interruption.requested() and (left := [one for one in waiting if not one.exhausted]):
            found = next(((one, client) for one in left if (client := one.next())), None)
            if found is None:
                yield None
                continue
            under_way[count] = found
            yield replace(found[1].problem, id=count, watch=watch(*found) if watch else SILENT)
            count += 1

    for found in attack(problems()):
        one, client = under_way.pop(found.problem)
        one.pending.discard(client.problem.id)
        yield one, client, replace(found, problem=client.problem.id)
