"""What a server does to a model before it sends it to clients."""

from abc import ABC
from collections.abc import Callable

from harness.core import Classifier, Component, Images, Model, Observation, Params, Protocol, component


@component
class ServerPolicy(Component, ABC):
    """A server: honest in all that a malicious one does not override."""

    def check(self, protocol: Protocol) -> None:
        """Refuse clients of which the server could read nothing. Raises UserError."""
        return

    def architecture(self, model: Model) -> Model:
        """The architecture that clients receive in place of `model`, before it is trained."""
        return model

    def plant(self, model: Classifier, seed: int) -> None:
        """Change the parameters in place, after training; the same seed plants the same."""
        return

    def approach(
        self, model: Classifier, ask: Callable[[Classifier], Params], public: Callable[[], Images]
    ) -> Classifier:
        """The model that a client receives at last, from a server that may `ask` the same client for its update of any
        model before; `public` are images that it may know."""
        return model

    def received(self, observation: Observation) -> Observation:
        """What an attacker who knows what was planted has of an update."""
        return observation


@component
class Honest(ServerPolicy):
    """A server that sends the model as it is."""
