"""The gradient that every protocol is made of."""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from harness.core import Batch, Params


def loss(params: Params, model: nn.Module, batch: Batch) -> Tensor:
    """Mean cross-entropy of a batch; labels are classes [n] or probabilities [n, classes] (paper 001, eq. 1)."""
    return F.cross_entropy(functional_call(model, params, (batch.x,)), batch.y)


def gradient(model: nn.Module, params: Params, batch: Batch) -> Params:
    """Gradient of the loss in every parameter: pure, differentiable in the batch, and fit for vmap."""
    found: Params = torch.func.grad(loss)(params, model, batch)
    return found
