"""Which reconstruction belongs to which image of a batch."""

import torch
from torch import Tensor


def match(found: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """One-to-one pairs of least total squared error: `found[theirs]` belongs to `truth[ours]`.

    found [m, c, h, w], truth [n, c, h, w]; both results are [min(m, n)], `ours` ascends. An update does not depend on
    the order of its batch, so that an attack can't know it.
    """
    if len(found) == len(truth) == 1:
        only = torch.zeros(1, dtype=torch.int64, device=truth.device)
        return only, only
    return _assigned(_errors(found, truth))


def turned(found: Tensor, truth: Tensor) -> Tensor:
    """found [m, c, h, w], each image or its negative 1 - x, whichever is nearer the image of the truth that it belongs
    to in the one-to-one pairs of least total squared error; an image without a partner as it is."""
    as_is, negative = _errors(found, truth), _errors(1 - found, truth)
    ours, theirs = _assigned(torch.minimum(as_is, negative))
    turn = torch.zeros(len(found), dtype=torch.bool, device=found.device)
    turn[theirs] = negative[ours, theirs] < as_is[ours, theirs]
    return torch.where(turn[:, None, None, None], 1 - found, found)


def _errors(found: Tensor, truth: Tensor) -> Tensor:
    """Squared errors [n, m]."""
    return torch.cdist(
        truth.double().flatten(1),
        found.double().flatten(1),
        compute_mode="donot_use_mm_for_euclid_dist",  # which would lose an exact match to rounding
    ).square()


def _assigned(cost: Tensor) -> tuple[Tensor, Tensor]:
    from scipy.optimize import linear_sum_assignment

    ours, theirs = linear_sum_assignment(cost.cpu().numpy())
    return torch.from_numpy(ours).to(cost.device), torch.from_numpy(theirs).to(cost.device)
