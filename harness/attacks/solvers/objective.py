"""What the engine asks of an attack."""

from typing import Literal, Protocol

import torch
from torch import Tensor

from harness.attacks.solvers.optimizer import Optimizer
from harness.attacks.solvers.variables import Variables
from harness.core import Batch, Observation, Params

EngineName = Literal["auto", "loop", "vmap", "compiled", "lowrank", "native"]


class Objective(Protocol):
    """A loss over variables, its optimiser and its budget: `OptimizationAttack` says what each member is."""

    @property
    def steps(self) -> int: ...

    @property
    def evaluations_per_step(self) -> int: ...

    @property
    def optimizer(self) -> Optimizer: ...

    @property
    def tolerance(self) -> float | None: ...

    @property
    def patience(self) -> int | None: ...

    @property
    def improvement(self) -> float: ...

    @property
    def engine(self) -> EngineName: ...

    @property
    def slots(self) -> int | None: ...

    @property
    def projects(self) -> bool: ...

    def prepare(self, observation: Observation) -> Params: ...

    def initial(self, observation: Observation, rng: torch.Generator) -> Variables: ...

    def loss(self, variables: Variables, observation: Observation, known: Params) -> Tensor: ...

    def regularizers(
        self, variables: Variables, observation: Observation, known: Params
    ) -> dict[str, Tensor]: ...

    def project(self, variables: Variables, observation: Observation) -> Variables: ...

    def score(self, variables: Variables, observation: Observation, known: Params, loss: float) -> float: ...

    def decode(self, variables: Variables, observation: Observation, known: Params) -> Batch: ...
