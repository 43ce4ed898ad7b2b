"""What a client sees in the loss and the gradients of its own images, before it sends anything."""

import math

import torch
from torch.nn import functional as F

from harness.core import Batch, Classifier
from harness.core.gradient import gradient


def relative_loss(model: Classifier, batch: Batch) -> float:
    """The mean cross-entropy of a client's images over log K, that of a guess among K classes."""
    with torch.no_grad():
        logits = model(batch.x)
        return float(F.cross_entropy(logits, batch.y)) / math.log(logits.shape[1])


def d_snr(model: Classifier, batch: Batch) -> float | None:
    """The disaggregation signal-to-noise ratio of a batch, after Garov et al. 2024 (SEER).

    Of the weights of a layer, the longest gradient of one image over the root of the others' summed squares; of all
    layers, the largest. None for one image, and where no image has a gradient; infinite where only one has.
    """
    if len(batch) < 2:
        return None
    params = {name: value.detach() for name, value in model.named_parameters()}
    weights = [name for name, value in params.items() if value.ndim >= 2]
    lengths = torch.empty(len(batch), len(weights), dtype=torch.float64)
    for row in range(len(batch)):
        found = gradient(model, params, Batch(batch.x[row : row + 1], batch.y[row : row + 1]))
        lengths[row] = torch.stack(
            [torch.linalg.vector_norm(found[name], dtype=torch.float64) for name in weights]
        )
    ordered = lengths.sort(dim=0).values
    ratios = ordered[-1] / ordered[:-1].norm(dim=0)
    heard = ratios[ordered[-1] > 0]
    return float(heard.max()) if len(heard) else None
