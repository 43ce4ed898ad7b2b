"""A residual network that problems share, and the sweeps through it."""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from harness.attacks.solvers.sweeps.convolutions import ConvolutionPass, Gram, Grouped, Patched
from harness.attacks.solvers.sweeps.head import HeadPass
from harness.attacks.solvers.sweeps.layers import Folded, LayerPass, Normalized
from harness.attacks.solvers.sweeps.normalizations import OfBatch, Running
from harness.attacks.solvers.sweeps.sweep import NetworkPass, UnitPass
from harness.attacks.solvers.units import Unit, sizes, units
from harness.core import Observation, Params


class SharedNetwork:
    """A network whose weights all problems share."""

    def __init__(self, observation: Observation, explicit: bool) -> None:
        """`explicit`: all of a gradient is asked for, as numbers."""
        model, self.params = observation.model, observation.params
        self.head, self.mode = model.head, observation.protocol.normalization
        self.units, self.classes, self.normalize = units(model), observation.classes, model.normalize
        self.layers = {unit.normalization: model.get_submodule(unit.normalization) for unit in self.units}
        names = [f"{unit.convolution}.weight" for unit in self.units]
        self.kinds = dict(zip(names, _kinds(self.units, observation, explicit), strict=True))

    def serves(self, params: Params) -> bool:
        """Whether these are the parameters that it has: the very tensors."""
        return all(value.data_ptr() == params[name].data_ptr() for name, value in self.params.items())

    def packed(self, update: Params) -> Params:
        """An update as a sweep has it."""
        return update | {name: kind.packed(update[name]) for name, kind in self.kinds.items()}

    def unpacked(self, gradient: Params) -> Params:
        """The gradients [k, ...] of a sweep as an update has them."""
        return gradient | {
            name: kind.unpacked(gradient[name], self.params[name].shape) for name, kind in self.kinds.items()
        }

    def sweep(self, images: Tensor, target: Tensor, statistics: Params | None = None) -> NetworkPass:
        """For images [k, n, c, h, w], target [k, n, classes] and the statistics [k, channels] that clients sent."""
        stages = [
            UnitPass(unit, self._layer(unit, kind, statistics or {}))
            for unit, kind in zip(self.units, self.kinds.values(), strict=True)
        ]
        head = HeadPass(self.head, self.params[f"{self.head}.weight"], self.params[f"{self.head}.bias"])
        return NetworkPass(stages, head, images.transpose(0, 1).contiguous(), target)

    def _layer(self, unit: Unit, kind: type[ConvolutionPass], statistics: Params) -> LayerPass:
        name, weight = unit.normalization, self.params[f"{unit.convolution}.weight"]
        layer, scale, shift = self.layers[name], self.params[f"{name}.weight"], self.params[f"{name}.bias"]
        assert isinstance(layer, nn.BatchNorm2d)
        if self.mode != "eval":
            given = (statistics.get(f"{name}.{part}") for part in ("mean", "variance"))
            return Normalized(unit, kind(unit, weight), OfBatch(layer.eps, scale, shift, *given))
        running = Running(layer, scale, shift)
        if kind is Grouped:
            return Folded(unit, weight, running)
        return Normalized(unit, kind(unit, weight), running)


def _kinds(
    found: Sequence[Unit], observation: Observation, explicit: bool
) -> Iterator[type[ConvolutionPass]]:
    """How each unit's convolution is best computed."""
    for unit, (high, wide) in zip(found, sizes(found, observation.shape), strict=True):
        places = observation.n * high * wide
        if places > unit.channels_out:
            yield Grouped
        else:
            yield Patched if explicit or 2 * places > unit.channels_out else Gram
