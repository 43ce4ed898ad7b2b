"""Words of the harness for what Python and torch have no name for."""

from typing import Literal

from torch import Tensor

from harness.base.component import Split as Split

Params = dict[str, Tensor]
Shape = tuple[int, int, int]
Status = Literal["converged", "stalled", "budget", "diverged", "failed"]
