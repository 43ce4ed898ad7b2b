"""What a client computed from its images and sent."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from harness.core import Batch, Params


@dataclass(frozen=True, eq=False)
class Sent:
    """What a client computed and sent, and the secrets behind it."""

    truth: Batch
    batch: Batch
    """The truth as its defence has it trained on."""
    order: Sequence[Tensor] | None
    """The steps of its local training."""
    undefended: Params
    """The update before any defence."""
    defended: Params
    """The update as it left the client."""
