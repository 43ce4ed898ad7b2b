"""What a client looks at before it trains and sends."""

from abc import ABC, abstractmethod

from harness.core import Batch, Classifier, Component, component


@component
class ClientChecks(Component, ABC):
    """A client's checks: of the model that it was sent, and of what it is about to send."""

    @abstractmethod
    def alarms(self, model: Classifier, batch: Batch) -> list[str] | None:
        """What is suspicious of a model and of its gradient on the client's images, by name; None: nobody looks."""


@component
class NoChecks(ClientChecks):
    """The client takes what it is sent."""

    def alarms(self, model: Classifier, batch: Batch) -> list[str] | None:
        return None
