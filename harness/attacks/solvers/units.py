"""A residual network as a list of units, for code that differentiates it by hand."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from harness.core import Classifier, Shape
from harness.core.activation import REPLACED
from harness.models.resnet import Block

NONE = nn.Identity()
"""Where no activation follows."""


class UnknownNetwork(Exception):
    """A network that is no such list; says why."""


@dataclass(frozen=True)
class Unit:
    """A convolution without bias, batch normalisation, perhaps another map that is added, perhaps an activation."""

    convolution: str
    """The name of its module, as that of the normalisation."""
    normalization: str
    channels_in: int
    channels_out: int
    kernel: int
    """1 or 3, padded by 0 or 1."""
    stride: int
    source: int
    """The unit whose map it convolves, from 1 on; 0 is the image."""
    added: int | None = None
    """The unit whose map is added."""
    activation: nn.Module = NONE


def units(model: Classifier) -> list[Unit]:
    """The units of a network that ends in a mean over all places and a linear layer. Raises UnknownNetwork."""
    if not isinstance(model.network, nn.Sequential):
        raise UnknownNetwork("knows residual networks alone")
    layers = list(model.network.named_children())
    kinds = [type(layer) for _, layer in layers[-3:]]
    if kinds != [nn.AdaptiveAvgPool2d, nn.Flatten, nn.Linear] or layers[-3][1].output_size not in (1, (1, 1)):
        raise UnknownNetwork("knows networks that end in a mean over all places and a linear layer alone")
    if layers[-1][1].bias is None:
        raise UnknownNetwork("knows no last layer without bias")
    found: list[Unit] = []
    _chain(found, [(f"network.{name}", layer) for name, layer in layers[:-3]], 0)
    return found


def sizes(found: Sequence[Unit], shape: Shape) -> list[tuple[int, int]]:
    """Height and width of the map of each unit."""
    maps = [shape[1:]]
    for unit in found:
        high, wide = ((side - 1) // unit.stride + 1 for side in maps[unit.source])
        maps.append((high, wide))
    return maps[1:]


def _chain(found: list[Unit], layers: list[tuple[str, nn.Module]], source: int) -> int:
    """Add the units of layers that follow one another. Returns the last one."""
    waiting = ""
    for name, layer in layers:
        if isinstance(layer, nn.Conv2d) and not waiting:
            waiting, convolution = name, _checked(layer)
        elif isinstance(layer, nn.BatchNorm2d) and waiting:
            found.append(_unit(waiting, convolution, name, layer, source))
            source, waiting = len(found), ""
        elif isinstance(layer, REPLACED) and not waiting and _bare(found, source):
            found[-1] = replace(found[-1], activation=layer)
        elif isinstance(layer, Block) and not waiting:
            source = _block(found, name, layer, source)
        else:
            raise UnknownNetwork(f"knows no {type(layer).__name__} at this place of a network")
    if waiting:
        raise UnknownNetwork("knows no convolution without batch normalisation")
    return source


def _bare(found: list[Unit], source: int) -> bool:
    """Whether the last unit is the one that is read, and has no activation yet."""
    return source == len(found) > 0 and found[-1].activation is NONE


def _block(found: list[Unit], name: str, block: Block, source: int) -> int:
    """The shortcut first, for the residual's last unit adds it."""
    added = source
    if isinstance(block.shortcut, nn.Sequential):
        added = _chain(found, _named(f"{name}.shortcut", block.shortcut), source)
    if not isinstance(block.residual, nn.Sequential):
        raise UnknownNetwork(f"knows no {type(block.residual).__name__} beside a shortcut")
    last = _chain(found, _named(f"{name}.residual", block.residual), source)
    found[-1] = replace(found[-1], added=added, activation=block.activation)
    return last


def _named(name: str, layers: nn.Sequential) -> list[tuple[str, nn.Module]]:
    return [(f"{name}.{own}", layer) for own, layer in layers.named_children()]


def _checked(layer: nn.Conv2d) -> nn.Conv2d:
    kernel, stride = layer.kernel_size[0], layer.stride[0]
    plain = (layer.groups, layer.dilation, layer.padding_mode, layer.bias) == (1, (1, 1), "zeros", None)
    square = (layer.kernel_size, layer.stride) == ((kernel, kernel), (stride, stride))
    if not (plain and square and kernel in (1, 3) and layer.padding == (kernel // 2, kernel // 2)):
        raise UnknownNetwork(
            "knows convolutions of 1 x 1 and 3 x 3 without bias, padded to their size, alone"
        )
    return layer


def _unit(name: str, layer: nn.Conv2d, normalization: str, normal: nn.BatchNorm2d, source: int) -> Unit:
    if not (normal.affine and normal.track_running_stats):
        raise UnknownNetwork("knows no batch normalisation without scale, or without running statistics")
    return Unit(
        convolution=name,
        normalization=normalization,
        channels_in=layer.in_channels,
        channels_out=layer.out_channels,
        kernel=layer.kernel_size[0],
        stride=layer.stride[0],
        source=source,
    )
