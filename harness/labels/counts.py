"""How many images of each class: from shares to whole numbers, and from those to labels."""

import torch
from torch import Tensor


def apportion(shares: Tensor, total: int) -> Tensor:
    """Whole numbers [classes] int64 in the proportions of `shares` [classes], `total` in all, by largest remainder.

    Negative shares count as none; of equal remainders the lower class comes first. Whole shares that add up to `total`
    stay as they are. Raises ValueError where no share is positive.
    """
    positive = shares.double().clamp_min(0)
    whole = positive.sum()
    if not bool(torch.isfinite(whole)) or whole <= 0:
        raise ValueError("shares of which none is positive, or not all are finite, can't be apportioned")
    quota = positive * total / whole
    floor = quota.floor()
    remainder = quota - floor
    left = total - int(floor.sum())
    floor[remainder.argsort(descending=True, stable=True)[:left]] += 1
    return floor.to(torch.int64)


def multiset(counts: Tensor) -> Tensor:
    """The labels [counts.sum()] int64, ascending, that have these counts [classes]."""
    return torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
