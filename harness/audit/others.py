"""Images that no client has: those that the user calls public, else photographs that come with the harness."""

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.core import Shape, generator
from harness.datasets.photos import Photos32


def photographs(shape: Shape, count: int, skip: int = 0) -> Tensor:
    """Photographs [count, c, h, w] of the harness's own, others for each `skip`."""
    public = Photos32().load("public", None)
    x = torch.stack([public[(17 * (skip + k)) % len(public)][0] for k in range(count)])
    if shape[0] != 3:
        x = x.mean(1, keepdim=True).expand(-1, shape[0], -1, -1)
    return F.interpolate(x, shape[1:], mode="bilinear", align_corners=False).clamp(0, 1)


def drawn(public: Tensor, count: int, skip: int = 0) -> Tensor:
    """Of public images in bytes [n, c, h, w], some [count, c, h, w] in [0, 1], others for each `skip`."""
    order = torch.randperm(len(public), generator=generator("audit", "public"))
    return public[order[torch.arange(skip, skip + count) % len(public)]].float() / 255
