"""The complex wavelets as strided convolutions of mirrored lines, and the similarity of two images."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.core import Batch, Classifier, Normalize, generator
from harness.metrics.cw_ssim import ComplexWaveletSSIM
from harness.metrics.wavelets import HIGH, LOW, SHIFTED, transform
from tests.fidelity.conftest import Fidelity

SIDE, SCALES = 16, 4


def line(x: Tensor, taps: Sequence[float], start: int, stride: int, dilation: int, count: int) -> Tensor:
    """sum_j h_j x(start + stride n - dilation j) along rows [k, side] that are mirrored without end."""
    mirrored = torch.cat([x, x.flip(1)], 1)
    first = 10 * mirrored.shape[1] + start - dilation * (len(taps) - 1)
    long = mirrored.repeat(1, 21)[:, first : first + stride * (count - 1) + dilation * (len(taps) - 1) + 1]
    backwards = torch.tensor(taps, dtype=torch.float64).flip(0)[None, None]
    return F.conv1d(long[:, None], backwards, stride=stride, dilation=dilation)[:, 0]


def first(x: Tensor, half: Sequence[float]) -> Tensor:
    return line(x, [*half, *half[:-1][::-1]], len(half) - 1, 1, 1, x.shape[1])


def later(x: Tensor, one: Sequence[float], other: Sequence[float], high: bool) -> Tensor:
    """Each tree takes every second of its own numbers; of the high-pass the other tree comes first."""
    trees = [line(x, taps, 14 + k, 4, 2, x.shape[1] // 4) for k, taps in enumerate((one, other))]
    return torch.stack(trees[::-1] if high else trees, 2).flatten(1)


def scale(x: Tensor, number: int) -> tuple[Tensor, list[Tensor]]:
    """The next smaller image, and the six bands of one scale."""
    backwards = list(SHIFTED)[::-1]
    alternating = [value * (-1) ** j for j, value in enumerate(backwards)]

    def low(rows: Tensor) -> Tensor:
        return first(rows, LOW) if number == 0 else later(rows, backwards, SHIFTED, high=False)

    def high(rows: Tensor) -> Tensor:
        return first(rows, HIGH) if number == 0 else later(rows, alternating[::-1], alternating, high=True)

    columns = [each(x.T).T for each in (low, high)]
    (ll, lh), (hl, hh) = ((low(each), high(each)) for each in columns)
    bands = []
    for band in (hl, lh, hh):
        a, b, c, d = band[::2, ::2], band[::2, 1::2], band[1::2, ::2], band[1::2, 1::2]
        p, q = (a + 1j * b) / 2**0.5, (d - 1j * c) / 2**0.5
        bands += [p - q, p + q]
    return ll, bands


def pyramid(image: Tensor) -> list[Tensor]:
    found, rest = [], image
    for number in range(SCALES):
        rest, bands = scale(rest, number)
        found.append(torch.stack(bands))
    return found


def images(name: str) -> Tensor:
    return torch.rand(2, 3, SIDE, SIDE, generator=generator(name), dtype=torch.float64)


def test_the_transform(fidelity: Fidelity) -> None:
    x = images("x")
    for number, found in enumerate(transform(x, SCALES)):
        expected = torch.stack([torch.stack([pyramid(channel)[number] for channel in image]) for image in x])
        what = "six complex bands a scale: near-symmetric 13, 19, then quarter shifts of 14 (Kingsbury 2001)"
        fidelity("metric", "cw_ssim", what, torch.view_as_real(found), torch.view_as_real(expected))
    for name, half in (("low", LOW), ("high", HIGH)):
        total = 2 * sum(half[:-1]) + half[-1]
        what = f"the first {name}-pass sums to {'one' if name == 'low' else 'zero'}"
        fidelity("metric", "cw_ssim", what, total, 1.0 if name == "low" else 0.0)
    shifts = [sum(a * b for a, b in zip(SHIFTED[2 * k :], SHIFTED, strict=False)) for k in range(4)]
    what = "14 coefficients, orthogonal to their own shifts by two (Kingsbury 2001)"
    fidelity("metric", "cw_ssim", what, shifts, [1.0, 0.0, 0.0, 0.0], tolerance=1e-6)


def test_the_similarity(fidelity: Fidelity) -> None:
    x, y = images("x"), images("y")
    expected = []
    for mine, theirs in zip(x, y, strict=True):
        parts = []
        for a, b in zip(mine, theirs, strict=True):
            for p, q in zip(pyramid(a), pyramid(b), strict=True):
                above = 2 * (p * q.conj()).sum(0).abs() + 1e-6
                parts.append((above / ((p.abs() ** 2 + q.abs() ** 2).sum(0) + 1e-6)).mean())
        expected.append(sum(parts) / len(parts))
    model = Classifier(Normalize((0.0,), (1.0,)), torch.nn.Linear(2, 2))
    truth = Batch(y, torch.zeros(2))
    found = ComplexWaveletSSIM(scales=SCALES)(Batch(x, torch.zeros(2)), truth, model, {})
    what = "(2 |sum x y*| + K) / (sum |x|^2 + |y|^2 + K) over orientations, mean of all else (Guo et al. 2025, code)"
    fidelity("metric", "cw_ssim", what, found, torch.stack([torch.as_tensor(each) for each in expected]))
