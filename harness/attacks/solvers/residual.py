"""Residual networks in native code (residual.c): the update of one image, and the slope of what is made of it.

`Residual` evaluates the loss and gradient of attacks that match an update, one problem after the other; where the
optimiser uses no gradient, the client's update alone is computed here, and the attack does the rest. Both hold for
FedSGD and batch normalisation by running statistics.

Its gradients agree with the loop's to about 5e-7, and yet a trajectory parts from the loop's after some hundred
evaluations. Measured on IG under clipping (Table 3, small, digits32, one image): for 262 evaluations no sign differs,
so that signed descent keeps both at the same point to the last bit; there, at one point, the gradients differ by 2.5 %
(3 signs), and 10 evaluations later by 98 % (338 of 3,072 signs). A ReLU's kink alone makes such a jump: a sum within
rounding of zero falls on the other side. So it is an error of neither, and equality is one of means over images:
`harness.bench.equality`.
"""

import ctypes
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.attacks.solvers import byhand, library
from harness.attacks.solvers.evaluator import Evaluator, Found, Setting, alike
from harness.attacks.solvers.lbfgs import LBFGS
from harness.attacks.solvers.library import LANES, Numbers
from harness.attacks.solvers.matched import Matched, matched, mismatch, targets
from harness.attacks.solvers.units import Unit, units
from harness.core import Batch, Classifier, Observation, Params, component
from harness.federated.fedsgd import FedSGD

MOST_UNITS = 64


class UnitOfC(ctypes.Structure):
    """`Unit` of residual.c."""

    _fields_ = tuple(
        (name, ctypes.c_int32)
        for name in (
            *("source", "added", "rectified", "channels_in", "channels_out", "kernel", "stride"),
            *("weight", "scale", "shift", "channel"),
        )
    )


class NetworkOfC(ctypes.Structure):
    """`Network` of residual.c."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("units", "classes", "channels", "height", "width")),
        *((name, ctypes.c_int32) for name in ("head", "head_bias", "size")),
        *((name, Numbers) for name in ("parameters", "mean", "rate")),
        ("unit", UnitOfC * MOST_UNITS),
    )


def refusal(setting: Setting) -> str | None:
    """Why this setting is not for native code; None: it is."""
    observation = setting.observation
    if reason := byhand.refusal(setting):
        return reason
    if observation.protocol.normalization != "eval":
        return "needs fl.normalization=eval"
    first = next(iter(observation.params.values()))
    if first.device.type != "cpu" or first.dtype != torch.float32:
        return "runs on a CPU, in float32"
    if setting.attack.optimizer.uses_gradient and observation.n != 1:
        return "needs one image"
    found = units(observation.model)
    for unit in found:
        if not isinstance(unit.activation, (torch.nn.ReLU, torch.nn.Identity)):
            return f"knows no {type(unit.activation).__name__}"
    return f"knows networks of at most {MOST_UNITS} convolutions" if len(found) > MOST_UNITS else None


def at_par(setting: Setting) -> bool:
    """Whether searches by this code were shown to end like the loop's, from which rounding parts them on the way.

    Those by L-BFGS were (DLG, iDLG): see experiments/results/engines/psnr.md.
    """
    return isinstance(setting.attack.optimizer, LBFGS) and refusal(setting) is None


class Packing:
    """How the parameters of a network, or an update of them, lie in one vector: see residual.c."""

    def __init__(self, model: Classifier, found: list[Unit], classes: int) -> None:
        self.units, self.head, self.classes = found, model.head, classes
        self.shapes = {name: value.shape for name, value in model.named_parameters()}
        self.offsets: dict[str, int] = {}
        self.size = 0
        for unit in found:
            tiles = _padded(unit.channels_in) * _padded(unit.channels_out) * unit.kernel**2
            self._place(f"{unit.convolution}.weight", tiles)
            self._place(f"{unit.normalization}.weight", _padded(unit.channels_out))
            self._place(f"{unit.normalization}.bias", _padded(unit.channels_out))
        self._place(f"{self.head}.weight", classes * _padded(found[-1].channels_out))
        self._place(f"{self.head}.bias", _padded(classes))

    def _place(self, name: str, size: int) -> None:
        self.offsets[name] = self.size
        self.size += size

    @property
    def names(self) -> set[str]:
        return set(self.offsets)

    def pack(self, tensors: Params) -> Tensor:
        """Parameters, or an update, to [size]."""
        return torch.cat([_lanes(tensors[name].detach()).flatten() for name in self.offsets])

    def unpack(self, numbers: Tensor) -> Params:
        """[size] to parameters, or an update."""
        ends = [*self.offsets.values(), self.size][1:]
        parts = {
            name: numbers[begin:end] for (name, begin), end in zip(self.offsets.items(), ends, strict=True)
        }
        return {name: _tensor(parts[name], shape) for name, shape in self.shapes.items()}


def _padded(channels: int) -> int:
    return -(-channels // LANES) * LANES


def _lanes(values: Tensor) -> Tensor:
    """Channels padded to LANES with zeros; those of a convolution in tiles."""
    if values.dim() != 4:
        return F.pad(values, (0, -values.shape[-1] % LANES))
    padded = F.pad(values, (0, 0, 0, 0, 0, -values.shape[1] % LANES, 0, -values.shape[0] % LANES))
    tiles: Tensor = padded.unflatten(1, (-1, LANES)).unflatten(0, (-1, LANES))
    return tiles.permute(0, 2, 4, 5, 3, 1)


def _tensor(numbers: Tensor, shape: torch.Size) -> Tensor:
    """What `_lanes` made of a tensor of this shape, back again."""
    if len(shape) != 4:
        rows: Tensor = numbers.view(*shape[:-1], _padded(shape[-1]))
        return rows[..., : shape[-1]]
    out, into = (_padded(channels) // LANES for channels in shape[:2])
    tiles = numbers.view(out, into, *shape[2:], LANES, LANES).permute(0, 5, 1, 4, 2, 3)
    whole: Tensor = tiles.flatten(2, 3).flatten(0, 1)
    return whole[: shape[0], : shape[1]]


class Network:
    """A network in native code. The slopes are those at the image of the last update."""

    def __init__(self, observation: Observation) -> None:
        found, model = units(observation.model), observation.model
        native = library.load()
        assert native is not None
        self.params, self.shape, self.native = observation.params, observation.shape, native
        self.packing = Packing(model, found, observation.classes)
        self.parameters = self.packing.pack(observation.params)
        statistics = [_statistics(model.get_submodule(unit.normalization)) for unit in found]
        self.mean, self.rate = (torch.cat(each) for each in zip(*statistics, strict=True))
        self.gradient = torch.zeros_like(self.parameters)
        self.handle = native.residual_new(ctypes.byref(self._described()))
        if not self.handle:
            raise MemoryError("no memory for a network")

    def __del__(self) -> None:
        if getattr(self, "handle", None):
            self.native.residual_free(self.handle)

    def _described(self) -> NetworkOfC:
        packing, channels = self.packing, 0
        described = NetworkOfC(
            *(len(packing.units), packing.classes, *self.shape),
            *(
                packing.offsets[f"{packing.head}.weight"],
                packing.offsets[f"{packing.head}.bias"],
                packing.size,
            ),
            *(ctypes.cast(each.data_ptr(), Numbers) for each in (self.parameters, self.mean, self.rate)),
        )
        for number, unit in enumerate(packing.units):
            described.unit[number] = UnitOfC(
                *(unit.source, -1 if unit.added is None else unit.added),
                isinstance(unit.activation, torch.nn.ReLU),
                *(unit.channels_in, unit.channels_out, unit.kernel, unit.stride),
                packing.offsets[f"{unit.convolution}.weight"],
                packing.offsets[f"{unit.normalization}.weight"],
                packing.offsets[f"{unit.normalization}.bias"],
                channels,
            )
            channels += _padded(unit.channels_out)
        return described

    def serves(self, params: Params) -> bool:
        """Whether these are the parameters that it has: the very tensors."""
        return all(value.data_ptr() == params[name].data_ptr() for name, value in self.params.items())

    def update(self, image: Tensor, target: Tensor) -> Tensor:
        """The gradient of the loss [size] for an image [c, h, w] in the network's units and probabilities [classes];
        it lasts until the next call."""
        image, target = image.contiguous(), target.contiguous()
        self.native.residual_update(
            self.handle, image.data_ptr(), target.data_ptr(), self.gradient.data_ptr()
        )
        return self.gradient

    def slopes(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """The slopes of <gradient, v> in the last image [c, h, w] and in its probabilities [classes]."""
        image, target = v.new_empty(self.shape), v.new_empty(self.packing.classes)
        self.native.residual_slopes(self.handle, v.data_ptr(), image.data_ptr(), target.data_ptr())
        return image, target


def _statistics(layer: torch.nn.Module) -> tuple[Tensor, Tensor]:
    """Running mean, and one over the deviation, padded: the rates of lanes without a channel are of no consequence."""
    assert isinstance(layer, torch.nn.BatchNorm2d)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    return _lanes(layer.running_mean), _lanes(torch.rsqrt(layer.running_var + layer.eps))


@component
class NativeFedSGD(FedSGD):
    """FedSGD whose gradient native code computes, for who needs no gradient of it."""

    native: Network

    def compute(
        self, model: torch.nn.Module, params: Params, batch: Batch, order: object, gradient: object
    ) -> Params:
        """The mean over the images, one after the other."""
        assert isinstance(model, Classifier)
        images = model.normalize(batch.x)
        targets = batch.y
        if not targets.is_floating_point():
            targets = F.one_hot(targets, self.native.packing.classes).to(images)
        found = [self.native.update(*each).clone() for each in zip(images, targets, strict=True)]
        return self.native.packing.unpack(torch.stack(found).mean(0))


@dataclass(frozen=True, eq=False)
class Loaded:
    """What is in a slot."""

    observation: Observation
    known: Params
    network: Network
    received: Tensor
    """The update [size] as native code has it."""
    matched: Matched | None
    """What the loss is made of."""


class Residual(Evaluator):
    """One problem after the other in native code; problems that have a network in common share it."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.problems: dict[int, Loaded] = {}

    def takes(self, observation: Observation) -> bool:
        return alike(self.setting.observation, observation)

    def load(self, slot: int, observation: Observation, known: Params) -> None:
        network = self._network(observation)
        received = network.packing.pack(observation.update)
        parts = matched(self.setting.attack, observation, known)
        self.problems[slot] = Loaded(observation, known, network, received, parts)

    def _network(self, observation: Observation) -> Network:
        for problem in self.problems.values():
            if problem.network.serves(observation.params):
                return problem.network
        return Network(observation)

    def release(self, slot: int) -> None:
        del self.problems[slot]

    def renumber(self, slots: list[int]) -> None:
        self.problems = {number: self.problems[slot] for number, slot in enumerate(slots)}

    def evaluate(self, x: Tensor) -> tuple[list[int], Tensor, Tensor | None]:
        slots = list(self.problems)
        found = [self._one(x[slot], self.problems[slot]) for slot in slots]
        gradients = [gradient for _, gradient in found if gradient is not None]
        return slots, torch.stack([loss for loss, _ in found]), torch.stack(gradients) if gradients else None

    @torch.no_grad()
    def _one(self, x: Tensor, problem: Loaded) -> Found:
        if problem.matched is not None and self.setting.attack.optimizer.uses_gradient:
            return self._matched(problem.matched, x, problem)
        observation = problem.observation
        protocol = NativeFedSGD(**vars(observation.protocol), native=problem.network)
        return self.setting.loss(x, replace(observation, protocol=protocol), problem.known), None

    def _matched(self, matched: Matched, x: Tensor, problem: Loaded) -> Found:
        variables = self.setting.layout.unflatten(x)
        target = targets(variables, problem.known, problem.observation.classes)
        trial = problem.network.update(variables["images"][0], target[0])
        loss, v = mismatch(matched.distance, trial, problem.received)
        image, slope = problem.network.slopes(v)
        return matched.found(self.setting.layout, x, loss, image[None], target, slope[None])
