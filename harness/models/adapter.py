"""Which parameters clients train: all of a model's, or what an adapter puts beside them."""

from abc import ABC, abstractmethod

from torch import nn

from harness.core import Classifier, Component, component


@component
class Adapter(Component, ABC):
    """A change to a model before its clients train it.

    What are parameters of the model afterwards is what clients train and send, what attackers search with and what
    defences alter; all that is frozen is a buffer.
    """

    @abstractmethod
    def adapt(self, model: Classifier, seed: int) -> Classifier:
        """The model, changed in place; the same seed gives the same new weights."""


@component
class NoAdapter(Adapter):
    """Clients train all parameters."""

    def adapt(self, model: Classifier, seed: int) -> Classifier:
        return model


def freeze(network: nn.Module) -> None:
    """Turn all parameters into buffers of the same names."""
    for module in network.modules():
        for name, value in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, value.detach())
