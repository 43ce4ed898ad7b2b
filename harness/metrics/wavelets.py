"""The dual-tree complex wavelet transform: in each scale six orientations, nearly the same wherever an image lies."""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

LOW = (-0.0017578125, 0.0, 0.022265625, -0.046875, -0.0482421875, 0.296875, 0.55546875)
HIGH = (
    *(-7.062639508928571e-05, 0.0, 0.0013419015066964285, -0.0018833705357142855, -0.007156808035714285),
    *(0.023856026785714284, 0.05564313616071428, -0.05168805803571428),
    *(-0.29975760323660716, 0.5594308035714286),
)
"""Half of each symmetric filter of the first scale, up to its middle: Kingsbury 2001, near-symmetric 13, 19."""
SHIFTED = (
    *(0.003253142763653182, -0.00388321199915849, 0.03466034684485349, -0.03887280126882779),
    *(-0.11720388769911527, 0.27529538466888204, 0.7561456438925225, 0.5688104207121227),
    *(0.011866092033797, -0.1067118046866654, 0.023825384794920298, 0.01702522388155399),
    *(-0.005439475937274115, -0.004556895628475491),
)
"""The low-pass filter of one tree at all later scales, a quarter of a sample off its middle: Kingsbury 2001, 14
coefficients. The other tree has it backwards."""


def transform(images: Tensor, scales: int) -> list[Tensor]:
    """Images [n, c, h, w] to complex coefficients [n, c, 6, h / 2^k, w / 2^k] of each scale k from 1 on.

    Kingsbury 2001, sections 4 and 5, with half-sample symmetric ends; sides that do not fit are extended by what is at
    their ends.
    """
    x, found = _even(images), list[Tensor]()
    for scale in range(scales):
        x = x if scale == 0 else _fourfold(x)
        rows, columns = (_filters(side, scale > 0) for side in x.shape[-2:])
        low, high = (rows[k].to(x) @ x for k in range(2))
        (ll, lh), (hl, hh) = ([each @ columns[k].to(x).T for k in range(2)] for each in (low, high))
        found.append(torch.cat([_complex(each) for each in (hl, lh, hh)], dim=2))
        x = ll
    return found


def _even(x: Tensor) -> Tensor:
    for axis in (-2, -1):
        if x.shape[axis] % 2:
            x = torch.cat([x, x.narrow(axis, x.shape[axis] - 1, 1)], axis)
    return x


def _fourfold(x: Tensor) -> Tensor:
    for axis in (-2, -1):
        if x.shape[axis] % 4:
            first, last = x.narrow(axis, 0, 1), x.narrow(axis, x.shape[axis] - 1, 1)
            x = torch.cat([first, x, last], axis)
    return x


def _complex(x: Tensor) -> Tensor:
    """Four trees, one in each corner of 2 x 2 places, to the coefficients of two orientations [n, c, 2, ...]."""
    a, b, c, d = (x[..., row::2, column::2] for row in (0, 1) for column in (0, 1))
    return torch.stack([torch.complex(a - d, b + c), torch.complex(a + d, b - c)], dim=2) / 2**0.5


@cache
def _filters(side: int, later: bool) -> tuple[Tensor, Tensor]:
    """Low- and high-pass as matrices, for columns of so many numbers: of the first scale, or of a later one."""
    if not later:
        low, high = ((*half, *half[-2::-1]) for half in (LOW, HIGH))
        return _first(side, low), _first(side, high)
    other = SHIFTED[::-1]
    modulated = tuple(-value if place % 2 else value for place, value in enumerate(other))
    return _later(side, other, SHIFTED), _later(side, modulated[::-1], modulated, swapped=True)


def _first(side: int, taps: Sequence[float]) -> Tensor:
    """Every place [side, side]: sum_j h_j x(n + m - j), m the filter's middle."""
    matrix = torch.zeros(side, side, dtype=torch.float64)
    for place in range(side):
        for j, value in enumerate(taps):
            matrix[place, _mirrored(place + len(taps) // 2 - j, side)] += value
    return matrix


def _later(side: int, one: Sequence[float], other: Sequence[float], swapped: bool = False) -> Tensor:
    """Every second place of each tree [side / 2, side]; the trees take turns, in the columns as in the rows."""
    matrix = torch.zeros(side // 2, side, dtype=torch.float64)
    for n in range(side // 4):
        for j, pair in enumerate(zip(one, other, strict=True)):
            for tree, value in enumerate(pair):
                row = 2 * n + (1 - tree if swapped else tree)
                matrix[row, _mirrored(4 * n + len(one) + tree - 2 * j, side)] += value
    return matrix


def _mirrored(place: int, side: int) -> int:
    """Where a place beyond the ends lies when they are mirrored, their own numbers included."""
    within = place % (2 * side)
    return within if within < side else 2 * side - 1 - within
