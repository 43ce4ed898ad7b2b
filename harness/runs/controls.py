"""What an attacker is handed in place of a client's update, as a control: of no image, or of others'."""

from typing import Literal

import torch

from harness.core import Params
from harness.runs.targets import length


def without_image(control: Literal["negative", "noise"], own: Params, rng: torch.Generator) -> Params:
    """The update's negative, or Gaussian noise of its length."""
    if control == "negative":
        return {name: -value for name, value in own.items()}
    drawn = {name: torch.randn(value.shape, generator=rng).to(value) for name, value in own.items()}
    return {name: value * (length(own) / length(drawn)) for name, value in drawn.items()}
