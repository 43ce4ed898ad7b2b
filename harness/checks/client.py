"""What a client looks at before it trains and sends."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from harness.base.rows import Row
from harness.core import Batch, Classifier, Component, Observation, component


@dataclass(frozen=True, eq=False)
class Outgoing:
    """What a client is about to send, and what it knows itself."""

    model: Classifier
    batch: Batch
    observe: Callable[[], Observation]
    """What an honest-but-curious server would have of it."""
    seed: int


@component
class ClientChecks(Component, ABC):
    """A client's checks: of the model that it was sent, and of what it is about to send."""

    @abstractmethod
    def alarms(self, model: Classifier, batch: Batch) -> list[str] | None:
        """What is suspicious of a model and of its gradient on the client's images, by name; None: nobody looks."""

    def check(self) -> None:
        """Refuse what no client can do. Raises UserError."""
        return

    def columns(self, outgoing: Outgoing) -> Row:
        """What the rows of a client say of its checks; nothing where nobody looks."""
        found = self.alarms(outgoing.model, outgoing.batch)
        return {} if found is None else reported(found)


def reported(alarms: list[str]) -> Row:
    """The columns of some alarms."""
    return {"detected": bool(alarms), "detected_by": ", ".join(alarms)}


@component
class NoChecks(ClientChecks):
    """The client takes what it is sent."""

    def alarms(self, model: Classifier, batch: Batch) -> list[str] | None:
        return None
