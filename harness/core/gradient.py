"""The gradient that every protocol is made of."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.func import functional_call
from torch.nn import functional as F

from harness.core.dataset import Batch
from harness.core.types import Params

Gradient = Callable[[nn.Module, Params, Batch], Params]
"""How a client computes the gradient of a local step, from the network, its parameters and the images of the step."""


def loss(params: Params, model: nn.Module, batch: Batch) -> Tensor:
    """Mean cross-entropy; labels are classes [n] or probabilities [n, classes] (Leite et al. 2024, eq. 1)."""
    return F.cross_entropy(functional_call(model, params, (batch.x,)), batch.y)


def gradient(model: nn.Module, params: Params, batch: Batch) -> Params:
    """Gradient of the loss in every parameter: pure, differentiable in batch and parameters, and fit for vmap.

    Outside of torch.func's transforms plain autograd does it, which is faster and keeps no graph that nobody needs.
    What is compiled is always inside of them.
    """
    inputs = (batch.x, batch.y, *params.values())
    if torch.compiler.is_compiling() or any(is_functorch_wrapped_tensor(tensor) for tensor in inputs):
        found: Params = torch.func.grad(loss)(params, model, batch)
        return found
    differentiable = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
    with torch.enable_grad():
        leaves = {name: p if p.requires_grad else p.detach().requires_grad_() for name, p in params.items()}
        value = loss(leaves, model, batch)
        gradients = torch.autograd.grad(
            value, list(leaves.values()), create_graph=differentiable, materialize_grads=True
        )
    return dict(zip(leaves, gradients, strict=True))
