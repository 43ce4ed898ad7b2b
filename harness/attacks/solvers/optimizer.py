"""What the engine asks of an optimiser: many problems side by side, one per slot."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from harness.attacks.solvers.variables import Layout
from harness.core import Component, component


class State(ABC):
    """Where an optimiser stands in each of its slots; every tensor leads with the slots [S].

    Slots know nothing of each other: what one does depends only on its own points, losses, gradients and generator.
    """

    @abstractmethod
    def reset(self, slot: int, x0: Tensor, steps: int, rng: torch.Generator) -> Tensor:
        """Load a new problem that starts from x0 [D], with a budget of `steps` evaluations.

        Returns the first point to evaluate [D]. All later randomness of the slot comes from `rng`.
        """

    @abstractmethod
    def step(self, x: Tensor, grad: Tensor | None, loss: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        """The next points [S, D], and which slots are done [S] bool: they can't move, or their budget is spent.

        x [S, D] are the points handed out last, grad [S, D] and loss [S] what was found there. A slot that is done
        or not active gets its x back, and its state stays as it was; a done slot stays done until its reset.
        """

    def end(self, slot: int, x: Tensor) -> Tensor:
        """Where a slot's search ends when its budget is spent: the point x [D] after the last move, unless the method
        answers with another one than it tries."""
        return x

    def resize(self, kept: list[int], slots: int) -> bool:
        """Keep these slots alone, renumbered in this order, and have so many in all. False: the number is fixed."""
        return False


def rows(state: Tensor, kept: list[int], slots: int) -> Tensor:
    """The rows of a tensor [S, ...] that are kept, then zeros [slots, ...]."""
    resized = state.new_zeros(slots, *state.shape[1:])
    resized[: len(kept)] = state[kept]
    return resized


@component
class Optimizer(Component, ABC):
    """A slot-wise optimiser: its fields are the hyper-parameters, its `State` does the work."""

    uses_gradient: ClassVar[bool] = True

    def numbers(self, size: int) -> int:
        """How many numbers the state of one slot holds, for points of so many: by default L-BFGS's 100 pairs."""
        return 200 * size

    @abstractmethod
    def start(self, slots: int, layout: Layout, device: torch.device, dtype: torch.dtype) -> State:
        """A state of empty slots for problems whose points lie so: `reset` a slot before it is used."""
