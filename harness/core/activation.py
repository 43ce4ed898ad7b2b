"""The activations that a network can be given in place of its own."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

from torch import nn

Nonlinearity = Literal["relu", "leaky_relu", "sigmoid", "tanh", "gelu", "softplus"]
LAYERS: Mapping[Nonlinearity, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": partial(nn.LeakyReLU, 0.1),
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
}
"""The slope of leaky_relu is that of Guo et al. 2025, code."""
REPLACED = (nn.ReLU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.GELU, nn.Softplus)


def activate(network: nn.Module, name: Nonlinearity) -> None:
    """Put layers of one kind in place of all activations of a network; weights stay as they were drawn."""
    for module in list(network.modules()):
        for place, child in module.named_children():
            if isinstance(child, REPLACED):
                setattr(module, place, LAYERS[name]())
