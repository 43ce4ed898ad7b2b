"""Inputs are as sharp as the rounding of each number allows, which is not the same for all."""

import torch
from torch import Tensor

from harness.audit.case import roundings
from harness.audit.dense import Dense
from harness.audit.sharpening import sharpened


def layer(n: int = 3, units: int = 48, size: int = 60) -> tuple[Dense, Tensor, Tensor]:
    """A layer's slopes as single precision leaves them, the inputs [n, size], and their gradients [n, units]."""
    rng = torch.Generator().manual_seed(0)
    weight = (torch.rand(units, size + 1, generator=rng) - 0.5).double() / 4
    x = torch.cat([torch.randn(n, size, generator=rng).double(), torch.ones(n, 1).double()], 1)
    s = 1e-4 * torch.randn(n, units, generator=rng).double() * (torch.rand(n, units, generator=rng) < 0.5)
    after = (weight - s.T @ x).float().double()
    slope, spread = weight - after, roundings(after, False)
    dense = Dense("d", weight[:, :-1], weight[:, -1], slope[:, :-1], slope[:, -1], spread)
    return dense, x[:, :-1], s


def bound(dense: Dense, x: Tensor, s: Tensor) -> float:
    """The least deviation of an entry of the inputs that any unbiased reading leaves (Cramer and Rao), written out."""
    assert dense.roundings is not None
    one = torch.cat([x, torch.ones_like(x[:, :1])], 1)

    def product(inputs: Tensor, slopes: Tensor) -> Tensor:
        both = torch.cat([inputs, one[:, -1:]], 1)
        misfit: Tensor = (slopes.T @ both) / dense.roundings
        return misfit.flatten()

    of_x, of_s = torch.autograd.functional.jacobian(product, (x, s))
    seen = torch.cat([of_x.flatten(1), of_s.flatten(1)[:, s.flatten() != 0]], 1)
    variances = torch.linalg.inv(seen.T @ seen).diagonal()
    return float(variances[: x.numel()].mean().sqrt())


def test_it_reaches_the_bound_that_rounding_sets() -> None:
    dense, x, s = layer()
    plain = torch.linalg.lstsq(s.T, dense.slope).solution
    found, slopes = sharpened(dense, plain, s != 0)
    off, before = (float((each - x).square().mean().sqrt()) for each in (found, plain))
    assert off < 1.3 * bound(dense, x, s)
    assert off < 0.8 * before
    assert bool((slopes[s == 0] == 0).all())
