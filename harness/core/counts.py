"""How many images of each class: from estimates to whole numbers, and from those to labels."""

import torch
from torch import Tensor

from harness.base.errors import Unreadable


def apportion(shares: Tensor, total: int) -> Tensor:
    """Whole numbers [classes] int64 in the proportions of `shares` [classes], `total` in all, by largest remainder.

    Negative shares count as none; of equal remainders the lower class comes first. Whole shares that add up to `total`
    stay as they are. Raises Unreadable where no share is positive.
    """
    positive = shares.double().clamp_min(0)
    whole = positive.sum()
    if not bool(torch.isfinite(whole)) or whole <= 0:
        raise Unreadable("labels can't be inferred: no class has a positive and finite share of them")
    quota = positive * total / whole
    floor = quota.floor()
    remainder = quota - floor
    left = total - int(floor.sum())
    floor[remainder.argsort(descending=True, stable=True)[:left]] += 1
    return floor.to(torch.int64)


def whole(estimate: Tensor, total: int) -> Tensor:
    """Estimated counts [classes], which may be fractions and a little below zero, as whole ones: `total` in all.

    Raises Unreadable for an estimate that is not finite, or whose negative counts are more than all examples together.
    """
    if not bool(torch.isfinite(estimate).all()):
        raise Unreadable("labels can't be inferred: the estimated counts are not finite")
    if float(estimate.clamp_max(0).sum()) < -total:
        low, high = float(estimate.min()), float(estimate.max())
        raise Unreadable(
            f"labels can't be inferred: the estimated counts contradict each other, {low:.3g} to {high:.3g} of {total}"
        )
    return apportion(estimate, total)


def by_impact(signal: Tensor, impact: float, offset: Tensor, total: int) -> Tensor:
    """Counts [classes] by Wainakh et al. 2022, algorithm 1: name the class that is most negative, take from it what
    one label adds to its signal, and go on until `total` labels are named.

    A negative signal proves a label of its class: those are named once before the offset [classes], the signal of an
    absent class, is taken off. `impact` is negative. Raises Unreadable if it is not.
    """
    if not impact < 0:
        raise Unreadable("labels can't be inferred: a label does not lower the signal of its class")
    found = torch.zeros(len(signal), dtype=torch.int64, device=signal.device)
    certain = signal.argsort(stable=True)[: min(int((signal < 0).sum()), total)]
    found[certain] = 1
    left = signal - offset - impact * found
    for _ in range(total - len(certain)):
        least = left.argmin()
        found[least] += 1
        left[least] -= impact
    return found


def multiset(counts: Tensor) -> Tensor:
    """The labels [counts.sum()] int64, ascending, that have these counts [classes]."""
    return torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
