"""What an attacker is handed in place of a client's update, as a control, that is no client's."""

from typing import Literal

import torch

from harness.core import Params
from harness.runs.targets import length


def without_image(control: Literal["negative", "noise"], own: Params, rng: torch.Generator) -> Params:
    """The update's negative, as Guo et al. 2025 hand it on (code), or Gaussian noise of its length: the same shapes."""
    if control == "negative":
        return {name: -value for name, value in own.items()}
    drawn = {name: torch.randn(value.shape, generator=rng).to(value) for name, value in own.items()}
    return {name: value * (length(own) / length(drawn)) for name, value in drawn.items()}
