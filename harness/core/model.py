"""Networks that clients train."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal, final

import torch
from torch import Tensor, nn

from harness.base.component import Component, component
from harness.base.errors import UserError
from harness.base.numbers import Natural, Seed
from harness.core.activation import Nonlinearity, activate
from harness.core.dataset import Dataset, Images
from harness.core.types import Shape


class Normalize(nn.Module):
    """The first layer of every model: (x - mean) / std per channel, so that all else sees [0, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[..., c, h, w] in [0, 1] to the network's own units."""
        return (x - self.mean) / self.std

    def invert(self, u: Tensor) -> Tensor:
        """The network's own units back to [0, 1]."""
        return u * self.std + self.mean


class Classifier(nn.Module):
    """A network behind its normalisation; `head` is the dotted name of its last linear layer, or where it has none of
    its last convolution."""

    def __init__(self, normalize: Normalize, network: nn.Module) -> None:
        super().__init__()
        self.normalize = normalize
        self.network = network
        named = list(self.named_modules())
        linear = [name for name, module in named if isinstance(module, nn.Linear)]
        heads = linear or [name for name, module in named if isinstance(module, nn.Conv2d)]
        if not heads:
            raise UserError(f"{type(network).__name__} has no linear layer to classify with")
        self.head = heads[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Images [n, c, h, w] in [0, 1] to logits [n, classes]."""
        logits: Tensor = self.network(self.normalize(x))
        return logits


@component
class Model(Component, ABC):
    """A network architecture and how its weights come about."""

    normalize: Literal["none", "symmetric", "dataset"] = "none"
    """none: [0, 1]; symmetric: mean = std = .5, so [-1, 1]; dataset: the data set's own statistics."""
    fresh: bool = False
    """Draw new weights for every target (as iDLG.py does), instead of one network for all targets."""
    seed: Seed | None = None
    """Seed of the weights; null: derived from the run's seed."""
    nonlinearity: Nonlinearity | None = None
    """The activation of all layers, on weights drawn as ever; null: the architecture's own."""
    extra_outputs: Natural = 0
    """Outputs beside the classes, which no image of the data set is labelled by."""

    @abstractmethod
    def network(self, shape: Shape, classes: int) -> nn.Module:
        """A freshly initialised network, drawing from torch's global generator."""

    @final
    def activated(self, shape: Shape, classes: int) -> nn.Module:
        """The network with the activations that it is to have."""
        network = self.network(shape, classes + self.extra_outputs)
        if self.nonlinearity is not None:
            activate(network, self.nonlinearity)
        return network

    def calibrate(self, model: "Classifier", public: Callable[[], Images]) -> None:
        """Fit to public images what a malicious server plants in its network: by default nothing."""
        return

    @final
    def build(self, dataset: Dataset, seed: int, root: str | None = None) -> Classifier:
        """The network in eval mode behind its normalisation; the same seed gives the same weights.

        `root` is where the data set's files are, should the network be calibrated on public images.
        """
        channels = dataset.shape[0]
        statistics = {
            "none": ((0.0,) * channels, (1.0,) * channels),
            "symmetric": ((0.5,) * channels, (0.5,) * channels),
            "dataset": dataset.statistics,
        }[self.normalize]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = self.activated(dataset.shape, len(dataset.classes))
        model = Classifier(Normalize(*statistics), network).eval().requires_grad_(False)
        self.calibrate(model, lambda: dataset.load("public", root))
        return model
