"""Words of the harness for what Python and torch have no name for."""

from typing import Literal

from torch import Tensor

Params = dict[str, Tensor]
Split = Literal["attack", "public", "train"]
Shape = tuple[int, int, int]
Status = Literal["converged", "stalled", "budget", "diverged", "failed"]
