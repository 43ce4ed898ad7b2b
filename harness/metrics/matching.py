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
    from scipy.optimize import linear_sum_assignment

    cost = torch.cdist(
        truth.double().flatten(1),
        found.double().flatten(1),
        compute_mode="donot_use_mm_for_euclid_dist",  # which would lose an exact match to rounding
    ).square()
    ours, theirs = linear_sum_assignment(cost.cpu().numpy())
    return torch.from_numpy(ours).to(cost.device), torch.from_numpy(theirs).to(cost.device)
