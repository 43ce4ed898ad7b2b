"""The start policy: what an attacker keeps of its past attacks, and where it begins the next one."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from harness.core import Component, Images, Status, component


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What an attacker sees of a finished attack: x [n, c, h, w] where the search ended and as it left it, the loss
    there and how it ended."""

    x: Tensor
    loss: float
    status: Status

    @property
    def success(self) -> bool:
        """The loss fell below the attack's own tolerance: the attacker knows no other measure."""
        return self.status == "converged"

    @property
    def finite(self) -> bool:
        return bool(torch.isfinite(self.x).all())


@dataclass(frozen=True, eq=False)
class Memory:
    """What an attacker keeps: an image [n, c, h, w] in the units of [0, 1], and how many results went into it."""

    image: Tensor | None = None
    count: int = 0


@component
class StartPolicy(Component, ABC):
    """Where each search begins, as a pure function of the results before it and of public images.

    A policy sees no true image and no true metric. Labels, networks and all other randomness are the same under every
    policy, so that attacks which differ in their start alone are paired.
    """

    learns: ClassVar[bool] = False
    """Whether a start depends on the attacks before it, which then come one after the other."""

    awaits_success: ClassVar[bool] = False
    """Whether it does nothing of its own before an attack has succeeded."""

    def begin(self, public: Callable[[], Images]) -> Memory:
        """What is known before the first attack; `public` loads the public split."""
        return Memory()

    def learn(self, memory: Memory, result: SearchResult) -> Memory:
        """What is known after one more attack."""
        return memory

    @abstractmethod
    def start(self, memory: Memory, shape: tuple[int, ...], rng: torch.Generator) -> Tensor | None:
        """Images of a shape [n, c, h, w] in the units of [0, 1], not clamped; None: the attack's own random start."""
