"""What a client computed from its images and sent."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from harness.core import Batch, Gradient, Params, Protocol
from harness.core.gradient import gradient


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


def computed(
    protocol: Protocol,
    model: nn.Module,
    params: Params,
    batch: Batch,
    order: Sequence[Tensor] | None,
    plain: Params,
    step: Gradient,
) -> Params:
    """The update that a client computes where its defence has it take each step by `step`: `plain`, that of the same
    steps by the gradient, where the defence leaves them alone."""
    if step is gradient:
        return plain
    return protocol.update(model, params, batch, order, gradient=step)
