"""The search of DLG and iDLG for one image in native code (search.c): what `lowrank` computes, out of the cache."""

import ctypes
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.attacks.solvers import library, lowrank
from harness.attacks.solvers.evaluator import Setting
from harness.attacks.solvers.lbfgs import LBFGS
from harness.attacks.solvers.library import (
    LANES,
    MOST_KERNEL,
    MOST_LAYERS,
    Layer,
    NativeProblem,
    Numbers,
)
from harness.core import Observation, Params, Status

ALIGNED = 64
EVALUATIONS = 200
"""Until native code gives the word back: a few hundredths of a second."""
STATUS: tuple[Status | None, ...] = (None, "converged", "budget", "diverged", "stalled")


@dataclass(frozen=True)
class Rules:
    """What ends a search beside the optimiser: see `engine`."""

    budget: int
    every: int
    """Evaluations between two points of the trace."""
    tolerance: float | None
    exploded: float
    exploded_steps: int
    patience: int = 0
    """Evaluations over which the loss must fall by the share `improvement`; 0: without end."""
    improvement: float = 0.0


@dataclass(frozen=True, eq=False)
class NativeResult:
    """Where a search ended: its best and its newest point [size], the loss at the best, the newest loss that was
    evaluated, and the losses of the trace."""

    best: Tensor
    newest: Tensor
    best_loss: float
    newest_loss: float
    status: Status | None
    """None: it goes on."""
    evaluations: int
    trace: list[float]


def refusal(setting: Setting) -> str | None:
    """Why this setting is not for native code; None: it is."""
    attack, observation = setting.attack, setting.observation
    if not lowrank.applies(setting):
        return "needs DLG or iDLG, one image, fedsgd, a sigmoid LeNet and a plain update"
    if type(attack.optimizer) is not LBFGS:
        return "needs L-BFGS"
    if attack.projects:
        return "knows no box around the images"
    if attack.patience is not None and (found := library.load()) is not None and not library.patient(found):
        return "was built before it knew attack.patience: install the harness anew"
    first = next(iter(observation.params.values()))
    if first.device.type != "cpu" or first.dtype != torch.float32:
        return "runs on a CPU, in float32"
    return (
        None if _fits(observation) else f"needs at most {LANES} channels, {MOST_LAYERS} layers, kernels of 8"
    )


def _fits(observation: Observation) -> bool:
    layers = lowrank.convolutions(observation.model) or []
    weights = [observation.params[layer.weight] for layer in layers]
    return len(layers) <= MOST_LAYERS and all(
        max(weight.shape[:2]) <= LANES and max(weight.shape[2:]) <= MOST_KERNEL for weight in weights
    )


class Native:
    """One problem after the other, from its start to its end."""

    def __init__(self, setting: Setting) -> None:
        found = library.load()
        assert found is not None
        self.setting, self.library = setting, found

    def search(
        self,
        x: Tensor,
        observation: Observation,
        known: Params,
        rules: Rules,
        hear: Callable[[NativeResult], object],
    ) -> NativeResult:
        """Search from x [size]. Its bits depend on the problem alone, and on the level of the library.

        `hear` is told what there is each time that native code gives the word back, at the end too.
        """
        packed = _Packed(self.setting, observation, known, x)
        problem = packed.problem(rules)
        handle = self.library.search_new(ctypes.byref(problem))
        if not handle:
            raise MemoryError("no memory for a search")
        if rules.patience:
            self.library.search_patience(handle, rules.patience, rules.improvement)
        try:
            while True:
                status = self.library.search_run(handle, EVALUATIONS)
                found = self._read(handle, STATUS[status], x, rules)
                hear(found)
                if found.status is not None:
                    return found
        finally:
            self.library.search_free(handle)

    def closure(self, x: Tensor, observation: Observation, known: Params) -> tuple[float, Tensor]:
        """The loss, and its gradient [size], at x [size]."""
        packed = _Packed(self.setting, observation, known, x)
        handle = self.library.search_new(ctypes.byref(packed.problem(Rules(1, 1, None, math.inf, 1))))
        point, gradient = x.contiguous(), torch.zeros_like(x)
        loss = self.library.search_closure(handle, point.data_ptr(), gradient.data_ptr())
        self.library.search_free(handle)
        return float(loss), gradient

    def _read(self, handle: int, status: Status | None, x: Tensor, rules: Rules) -> NativeResult:
        best, newest = torch.empty_like(x), torch.empty_like(x)
        trace = torch.empty(rules.budget // rules.every + 1)
        losses, counts = torch.empty(2), torch.empty(2, dtype=torch.int32)
        self.library.search_read(handle, *(t.data_ptr() for t in (best, newest, trace, losses, counts)))
        evaluations, points = (int(count) for count in counts)
        return NativeResult(
            best=best,
            newest=newest,
            best_loss=float(losses[0]),
            newest_loss=float(losses[1]),
            status=status,
            evaluations=evaluations,
            trace=trace[:points].tolist(),
        )


class _Packed:
    """The tensors of one problem as search.c has them; they live as long as this does."""

    def __init__(self, setting: Setting, observation: Observation, known: Params, x: Tensor) -> None:
        self.setting, self.observation, self.x, self.tensors = setting, observation, x, list[Tensor]()
        self.soft = "logits" in setting.layout.shapes
        self.target = None if self.soft else F.one_hot(known["labels"][0], observation.classes)

    def problem(self, rules: Rules) -> NativeProblem:
        optimizer, observation = self.setting.attack.optimizer, self.observation
        assert isinstance(optimizer, LBFGS)
        factors = lowrank.head_factors(observation.update, observation.model.head)
        assert factors is not None
        delta, hidden = factors
        layers = self._layers()
        head = f"{observation.model.head}."
        return NativeProblem(
            layers=len(layers),
            classes=observation.classes,
            size=self.x.numel(),
            budget=rules.budget,
            every=rules.every,
            soft=self.soft,
            exploded_steps=rules.exploded_steps,
            history=optimizer.history,
            most_moves=optimizer.max_iter,
            tolerance=-math.inf if rules.tolerance is None else rules.tolerance,
            exploded=rules.exploded,
            rate=optimizer.lr,
            tolerance_gradient=optimizer.tolerance_grad,
            tolerance_change=optimizer.tolerance_change,
            head=self._numbers(self._features(observation.params[f"{head}weight"])),
            head_bias=self._numbers(observation.params[f"{head}bias"]),
            delta=self._numbers(delta),
            hidden=self._numbers(self._features(hidden)),
            target=None if self.target is None else self._numbers(self.target),
            start=self._numbers(self.x),
            layer=(Layer * MOST_LAYERS)(*layers),
        )

    def _layers(self) -> list[Layer]:
        _, height, width = self.observation.shape
        layers = []
        for convolution in lowrank.convolutions(self.observation.model) or []:
            weight = self.observation.params[convolution.weight]
            (above, beside), (down, across) = convolution.padding, convolution.stride
            high, wide = convolution.kernel
            layers.append(
                Layer(
                    *(weight.shape[1], weight.shape[0], height, width),
                    *(high, wide, down, across, above, beside),
                    weight=self._numbers(_lanes(weight.permute(2, 3, 1, 0))),
                    transposed=self._numbers(_lanes(weight.permute(2, 3, 0, 1))),
                    bias=self._numbers(_lanes(self.observation.params[convolution.bias])),
                    received=self._numbers(
                        _lanes(self.observation.update[convolution.weight].permute(2, 3, 1, 0))
                    ),
                    received_bias=self._numbers(_lanes(self.observation.update[convolution.bias])),
                )
            )
            height = (height + 2 * above - high) // down + 1
            width = (width + 2 * beside - wide) // across + 1
        self.channels = len(weight)
        return layers

    def _features(self, values: Tensor) -> Tensor:
        """[..., channel, place] to [..., place, LANES]."""
        return _lanes(values.unflatten(-1, (self.channels, -1)).transpose(-1, -2))

    def _numbers(self, values: Tensor) -> object:
        """Where a copy of these numbers lies, aligned as native code reads them."""
        room = torch.zeros(values.numel() + ALIGNED // 4)
        begin = -room.data_ptr() % ALIGNED // 4
        copy = room[begin : begin + values.numel()].copy_(values.detach().flatten())
        self.tensors.append(copy)
        return ctypes.cast(copy.data_ptr(), Numbers)


def _lanes(values: Tensor) -> Tensor:
    """The last axis padded with zeros to LANES."""
    return F.pad(values, (0, LANES - values.shape[-1]))
