"""Losses and gradients of the problems in all slots: one after the other, or side by side."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from harness.attacks.solvers.objective import Objective
from harness.attacks.solvers.variables import Layout
from harness.core import Observation, Params, UserError

Loss = TypeVar("Loss", bound=Callable[..., Tensor])
Found = tuple[Tensor, Tensor | None]
"""Losses [k] and gradients [k, size]; no gradients where the optimiser uses none."""
LEAST = 3
"""oneDNN convolves one or two networks side by side by other kernels than any larger number."""
LEAST_CHANNELS = 8
"""It has a kernel of its own for fewer channels than these that the images have in all."""


def _marked(loss: Loss, mark: str) -> Loss:
    setattr(loss, mark, True)
    return loss


def vectorizable(loss: Loss) -> Loss:
    """Mark a `loss` whose course doesn't depend on the values of tensors, so that vmap can run many at once."""
    return _marked(loss, "vectorizable")


def squared_matching(loss: Loss) -> Loss:
    """Mark a `loss` that is the squared distance of updates, and nothing else, at `images` in the network's units.

    Labels are the softmax of `logits` where those are searched for, else the known `labels`.
    """
    return _marked(loss, "squared_matching")


def matching(loss: Loss) -> Loss:
    """Mark a `loss` that is the distance `self.distance` of updates, at `images` in the network's units, plus the
    sum of `self.regularizers`, with labels as above; and a `mismatch` that is that distance, if the loss calls one.
    """
    return _marked(loss, "matching")


def comparing(loss: Loss) -> Loss:
    """Mark a `loss` that is `self.compare` of the trial update of `self.decode`."""
    return _marked(loss, "comparing")


@dataclass(frozen=True, eq=False)
class Setting:
    """What all problems of a run have in common."""

    attack: Objective
    layout: Layout
    observation: Observation
    """The first one."""
    known: Params

    def loss(self, x: Tensor, observation: Observation, known: Params) -> Tensor:
        """The loss of one problem at x [size]."""
        return self.attack.loss(self.layout.unflatten(x), observation, known)


class Evaluator(ABC):
    """The problems that are in the slots."""

    @abstractmethod
    def takes(self, observation: Observation) -> bool:
        """Whether a problem can be evaluated beside those that it was made for."""

    @abstractmethod
    def load(self, slot: int, observation: Observation, known: Params) -> None:
        """Put a problem that it takes into an empty slot."""

    @abstractmethod
    def release(self, slot: int) -> None:
        """Empty a slot."""

    @abstractmethod
    def renumber(self, slots: list[int]) -> None:
        """From now on these slots, which are all that are in use, have the numbers 0, 1, ..."""

    @abstractmethod
    def evaluate(self, x: Tensor) -> tuple[list[int], Tensor, Tensor | None]:
        """The slots in use, in any order; losses [k] and gradients [k, size] there, for the points x [slots, size]."""


class Loop(Evaluator):
    """One problem after the other, by autograd in the variables alone: best where one closure fills the machine."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.problems: dict[int, tuple[Observation, Params]] = {}

    def takes(self, observation: Observation) -> bool:
        return True

    def load(self, slot: int, observation: Observation, known: Params) -> None:
        self.problems[slot] = observation, known

    def release(self, slot: int) -> None:
        del self.problems[slot]

    def renumber(self, slots: list[int]) -> None:
        self.problems = {number: self.problems[slot] for number, slot in enumerate(slots)}

    def evaluate(self, x: Tensor) -> tuple[list[int], Tensor, Tensor | None]:
        slots = list(self.problems)
        found = [self._one(x[slot], *self.problems[slot]) for slot in slots]
        gradients = [gradient for _, gradient in found if gradient is not None]
        return slots, torch.stack([loss for loss, _ in found]), torch.stack(gradients) if gradients else None

    def _one(self, x: Tensor, observation: Observation, known: Params) -> Found:
        if not self.setting.attack.optimizer.uses_gradient:
            with torch.no_grad():  # the update is still differentiated: torch.func sees to itself
                return self.setting.loss(x, observation, known), None
        x = x.detach().requires_grad_()
        loss = self.setting.loss(x, observation, known)
        return loss.detach(), torch.autograd.grad(loss, x)[0]


class Stack:
    """Tensors of all problems, row by row; if it `shares`, one that all have in common is held once, without rows."""

    def __init__(self, rows: int, shares: bool) -> None:
        self.rows, self.shares = rows, shares
        self.common: Params = {}
        self.own: Params = {}

    def __setitem__(self, row: int, values: Params) -> None:
        for name, value in values.items():
            if not self._in_common(name, value):
                self.own[name][row] = value

    def _in_common(self, name: str, value: Tensor) -> bool:
        """Whether all problems have this very tensor; if not, there are rows for it from now on."""
        if name in self.own:
            return False
        first = self.common.setdefault(name, value)
        if self.shares and first.data_ptr() == value.data_ptr():
            return True
        self.own[name] = self.common.pop(name).expand(self.rows, *first.shape).clone()
        return False

    def move(self, source: int, target: int) -> None:
        """Copy one row over another."""
        for tensor in self.own.values():
            tensor[target] = tensor[source]

    def first(self, count: int) -> Params:
        """The first rows [count, ...]; what is common comes without a leading axis."""
        return self.common | {name: tensor[:count] for name, tensor in self.own.items()}

    @property
    def axes(self) -> dict[str, int | None]:
        """Where vmap finds the problems in each tensor of `first`."""
        return dict.fromkeys(self.common, None) | dict.fromkeys(self.own, 0)


class Stacked(Evaluator, ABC):
    """Problems side by side in the first rows of a stack: the last one moves up into the row of one that leaves."""

    def __init__(self, setting: Setting, stack: Stack) -> None:
        self.setting, self.stack = setting, stack
        self.slots: list[int] = []
        """The slot of each row in use."""

    def takes(self, observation: Observation) -> bool:
        first = self.setting.observation
        return alike(first, observation) and first.knowledge.adaptations == observation.knowledge.adaptations

    def load(self, slot: int, observation: Observation, known: Params) -> None:
        self.stack[len(self.slots)] = self.pack(observation, known)
        self.slots.append(slot)

    def release(self, slot: int) -> None:
        row, last = self.slots.index(slot), len(self.slots) - 1
        if row != last:
            self.stack.move(last, row)
        self.slots[row] = self.slots[last]
        self.slots.pop()

    def renumber(self, slots: list[int]) -> None:
        self.slots = [slots.index(slot) for slot in self.slots]

    def evaluate(self, x: Tensor) -> tuple[list[int], Tensor, Tensor | None]:
        order = torch.tensor(self.slots, device=x.device)
        loss, gradient = self.side_by_side(x.index_select(0, order))
        return self.slots, loss, gradient

    @abstractmethod
    def pack(self, observation: Observation, known: Params) -> Params:
        """What a problem's row holds."""

    @abstractmethod
    def side_by_side(self, x: Tensor) -> Found:
        """Losses [k] and gradients [k, size] of the first k rows at x [k, size]."""


def alike(first: Observation, other: Observation) -> bool:
    """Whether problems may share one call: they differ in tensors alone, and in what defences are estimated to be."""
    kinds = [[type(each) for each in one.knowledge.adaptations] for one in (first, other)]
    return (
        first.protocol == other.protocol
        and (first.n, first.shape, first.classes) == (other.n, other.shape, other.classes)
        and kinds[0] == kinds[1]
        and first.knowledge.prior is other.knowledge.prior
        and _same_network(first, other)
    )


def _same_network(first: Observation, other: Observation) -> bool:
    if first.model is other.model:
        return True
    buffers = dict(other.model.named_buffers())
    return str(first.model) == str(other.model) and all(
        torch.equal(value, buffers[name]) for name, value in first.model.named_buffers()
    )


class Vectorized(Stacked):
    """vmap of the loss and its gradient: for any network and attack without data-dependent code.

    On a CPU a problem's numbers are the same to the last bit, whichever and however many are beside it. So there
    nothing is shared, for a product with one matrix rounds otherwise than one with a matrix for each row; fewer than
    `least` rows are never computed; and the last row is never a problem's, since torch computes the last few numbers of
    a tensor, those that fill no register, by other instructions, and the sigmoid's differ in the last bit. (A layer
    with sigmoids needs at least 31 numbers for that row to be enough.) It holds for one thread; compiled, it was not
    measured.
    """

    def __init__(self, setting: Setting, slots: int, compiled: bool = False) -> None:
        on_cpu = next(iter(setting.observation.params.values())).device.type == "cpu"
        self.exact = on_cpu and not compiled
        self.least = max(LEAST, math.ceil(LEAST_CHANNELS / setting.observation.shape[0]))
        super().__init__(setting, Stack(self._padded(slots), shares=not self.exact))
        self.compiled = compiled
        self.axes: dict[str, int | None] = {}

    def _padded(self, count: int) -> int:
        """How many rows are computed for so many problems."""
        return max(self.least, count + 1) if self.exact else count

    def pack(self, observation: Observation, known: Params) -> Params:
        groups = {"params": observation.params, "update": observation.update, "known": known}
        return {f"{group}/{name}": t for group, tensors in groups.items() for name, t in tensors.items()}

    def side_by_side(self, x: Tensor) -> Found:
        count = len(x)
        # Compiled there is one shape, so that it is compiled once: rows out of use are computed and dropped.
        rows = self.stack.rows if self.compiled else self._padded(count)
        x = torch.cat([x, x.new_zeros(rows - count, x.shape[1])])
        if self.axes != self.stack.axes:
            self.axes = self.stack.axes
            self.function = self._function()
        tensors = self.stack.first(rows)
        if not self.setting.attack.optimizer.uses_gradient:
            return self._called(x, tensors)[:count].detach(), None
        gradient, loss = self._called(x, tensors)
        return loss[:count].detach(), gradient[:count].detach()

    def _called(self, x: Tensor, tensors: Params) -> Any:
        """Raises UserError for what can't be compiled as a whole: in pieces it would be as slow as vmap."""
        if not self.compiled:
            return self.function(x, tensors)
        from torch._dynamo.exc import Unsupported

        try:
            return self.function(x, tensors)
        except Unsupported as error:
            raise UserError(
                "attack.engine=compiled: this attack or network can't be compiled; say vmap"
            ) from error

    def _function(self) -> Callable[..., Any]:
        def single(x: Tensor, tensors: Params) -> Tensor:
            params, update, known = (
                {name.removeprefix(group): t for name, t in tensors.items() if name.startswith(group)}
                for group in ("params/", "update/", "known/")
            )
            observation = replace(self.setting.observation, params=params, update=update)
            return self.setting.loss(x, observation, known)

        differentiate = self.setting.attack.optimizer.uses_gradient
        one: Callable[..., Any] = torch.func.grad_and_value(single) if differentiate else single
        function: Callable[..., Any] = torch.func.vmap(one, in_dims=(0, self.axes))
        return torch.compile(function, dynamic=False, fullgraph=True) if self.compiled else function
