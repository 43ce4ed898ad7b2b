"""FedSGD: the client sends one gradient of one batch."""

from collections.abc import Sequence

from torch import Tensor, nn

from harness.core import Batch, Params, Protocol, component
from harness.core.gradient import Gradient


@component
class FedSGD(Protocol):
    """One gradient of one batch (McMahan et al. 2017, section 2; the setting of papers 001 and 003)."""

    @property
    def examples(self) -> int:
        return self.batch_size

    def compute(
        self,
        model: nn.Module,
        params: Params,
        batch: Batch,
        order: Sequence[Tensor] | None,
        gradient: Gradient,
    ) -> Params:
        """The gradient of the mean loss over the batch; `order` is of no consequence."""
        return gradient(model, params, batch)

    def local_steps(self, examples: int) -> int:
        return 1

    def mean_gradient(self, update: Params, examples: int) -> Params:
        """The update is that already."""
        return update

    def trained_params(self, params: Params, update: Params, examples: int) -> Params:
        """Those that were sent: the client takes no step."""
        return params
