"""The gradient of a residual network in its parameters, and the slope in the images of its product with v, by hand.

What an attack minimises depends on g, the gradient of the loss l in the parameters theta. Autograd would differentiate
through the backward pass. With v, the slope in g of what is made of it, held fixed, the slope in the images is d/de of
dl/dx at theta + e v: one sweep up and down the network gives g, and another carries the derivative in e beside every
map (the suffix `_dot`). There is no graph, and all problems go through shared weights together.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.attacks.solvers.sweeps.activations import KNOWN
from harness.attacks.solvers.sweeps.convolutions import combined, inner, summed
from harness.attacks.solvers.sweeps.head import HeadPass
from harness.attacks.solvers.sweeps.layers import LayerPass
from harness.attacks.solvers.units import Unit
from harness.core import Params


class UnitPass:
    """A unit in one sweep."""

    def __init__(self, unit: Unit, layer: LayerPass) -> None:
        self.unit, self.layer = unit, layer

    def up(self, maps: list[Tensor]) -> None:
        """Add this unit's map."""
        self.size = maps[self.unit.source].shape
        a = self.layer.up(self._read(maps[self.unit.source]))
        if self.unit.added is not None:
            a = a + maps[self.unit.added]
        self.activation = KNOWN[type(self.unit.activation)](self.unit.activation, a)
        maps.append(self.activation.out)

    def down(self, slopes: "Slopes") -> None:
        """Hand the slope in this unit's map on to those that it is made of."""
        self.slope = slopes.pop()
        masked = self.activation.first(self.slope)
        self._hand_on(slopes, masked, self.layer.down(masked, on=self.unit.source > 0))

    def up_dot(self, maps_dot: list[Tensor | None]) -> None:
        """`up`, differentiated."""
        source = maps_dot[self.unit.source]
        a_dot = self.layer.up_dot(None if source is None else self._read(source))
        added = None if self.unit.added is None else maps_dot[self.unit.added]
        self.a_dot = a_dot if added is None else a_dot + added
        maps_dot.append(self.activation.first(self.a_dot))

    def down_dot(self, slopes_dot: "Slopes") -> None:
        """`down`, differentiated."""
        masked = self.activation.first(slopes_dot.pop())
        bent = self.activation.second(self.slope, self.a_dot)
        masked = masked if bent is None else masked + bent
        self._hand_on(slopes_dot, masked, self.layer.down_dot(masked))

    def _hand_on(self, slopes: "Slopes", masked: Tensor, below: Tensor | None) -> None:
        if self.unit.added is not None:
            slopes.add(self.unit.added, masked)
        if below is not None:
            slopes.add(self.unit.source, self._written(below))

    @property
    def _step(self) -> int:
        return self.unit.stride if self.unit.kernel == 1 else 1

    def _read(self, whole: Tensor) -> Tensor:
        """The places that the convolution reads."""
        return whole[..., :: self._step, :: self._step]

    def _written(self, read: Tensor) -> Tensor:
        """The transpose of `_read`."""
        if self._step == 1:
            return read
        whole = read.new_zeros(self.size)
        self._read(whole).copy_(read)
        return whole


class Slopes:
    """Slopes in the maps of units, from the last one down; maps that several units read sum theirs up."""

    def __init__(self, units: int, top: Tensor) -> None:
        self.found: list[Tensor | None] = [*[None] * units, top]

    def add(self, unit: int, slope: Tensor) -> None:
        before = self.found[unit]
        self.found[unit] = slope if before is None else before + slope

    def pop(self) -> Tensor:
        slope = self.found.pop()
        assert slope is not None
        return slope


class NetworkPass:
    """One pass up and down a network, for images [n, k, c, h, w] and the probabilities [k, n, classes] of labels.

    The loss is the mean cross-entropy over n.
    """

    def __init__(self, stages: Sequence[UnitPass], head: HeadPass, images: Tensor, target: Tensor) -> None:
        self.stages, self.head = stages, head
        maps = [images]
        for stage in stages:
            stage.up(maps)
        head.up(maps[-1], target)
        slopes = Slopes(len(stages), head.down())
        for stage in reversed(stages):
            stage.down(slopes)

    def gradient(self) -> Params:
        """In all parameters [k, ...], the convolutions' packed; it is kept."""
        found = self.head.gradient()
        for stage in self.stages:
            found |= stage.layer.gradient()
        return found

    def products(self, received: Params) -> tuple[Tensor, Tensor]:
        """<gradient, received> and the gradient's squared length [k]."""
        pairs = [stage.layer.products(received) for stage in self.stages]
        pairs += [(inner(g, received[name]), inner(g, g)) for name, g in self.head.gradient().items()]
        first, second = zip(*pairs, strict=True)
        return summed(first), summed(second)

    def cosine(self, received: Params, length: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The cosine distances [k] of the gradients and what was received, and their slopes as `slopes` has them;
        `length` [k] is the squared one of what was received."""
        first, second = self.products(received)
        root = (second * length).sqrt()
        return 1 - first / root, *self.slopes(-1 / root, first / (second * root), received)

    def squared(self, received: Params) -> tuple[Tensor, Tensor, Tensor]:
        """Likewise the squared distances: of differences, so they are exact near zero."""
        differences = [g - received[name] for name, g in self.gradient().items()]
        distance = summed(inner(each, each) for each in differences)
        twice = torch.full_like(distance, 2)
        return distance, *self.slopes(-twice, twice, received)

    def slopes(self, a: Tensor, c: Tensor, received: Params) -> tuple[Tensor, Tensor]:
        """The slopes of <gradient, v> in the images [k, n, c, h, w] and in the target [k, n, classes], for v = a *
        received + c * gradient, a and c [k], and the gradient that is kept."""
        maps_dot: list[Tensor | None] = [None]
        for stage in self.stages:
            stage.layer.aim(a, c, received)
            stage.up_dot(maps_dot)
        assert maps_dot[-1] is not None
        v = [combined(a, received[name], c, g) for name, g in self.head.gradient().items()]
        target = self.head.up_dot(maps_dot[-1], *v)
        slopes = Slopes(len(self.stages), self.head.down_dot())
        for stage in reversed(self.stages):
            stage.down_dot(slopes)
        return slopes.pop().transpose(0, 1), target
