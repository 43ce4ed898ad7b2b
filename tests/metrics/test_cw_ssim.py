"""What complex-wavelet similarity sees and what it does not."""

import torch
from torch import Tensor, nn

from harness.core import Batch, Classifier, Normalize
from harness.datasets.photos import Photos32
from harness.metrics.cw_ssim import ComplexWaveletSSIM
from harness.metrics.ssim import SSIM
from harness.metrics.wavelets import transform

MODEL = Classifier(Normalize((0.0,), (1.0,)), nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))


def photos() -> Tensor:
    split = Photos32().load("attack", None)
    return torch.stack([split[row][0] for row in range(3)])


def similarity(x: Tensor, y: Tensor, metric: type = ComplexWaveletSSIM) -> Tensor:
    found: Tensor = metric()(Batch(x, torch.zeros(len(x))), Batch(y, torch.zeros(len(y))), MODEL, {})
    return found


def test_the_same_image_is_one_and_another_is_less() -> None:
    x = photos()
    torch.testing.assert_close(similarity(x, x), torch.ones(3).double())
    other = similarity(x, x.roll(1, 0))
    assert torch.all(other < 0.9)
    assert torch.all(other >= 0)


def test_brightness_counts_little_and_a_shift_does_count() -> None:
    """As of SSIM: without a window it is not what complex wavelets were taken for."""
    x = photos()
    assert torch.all(similarity(0.5 * x + 0.4, 0.5 * x) > 1 - 1e-3)
    shifted = similarity(x.roll(1, 3), x)
    assert torch.all(shifted < 0.9)
    torch.testing.assert_close(shifted, similarity(x.roll(1, 3), x, SSIM), rtol=0, atol=0.1)


def test_sides_that_do_not_halve_are_extended() -> None:
    for shape in ((1, 1, 28, 28), (1, 1, 27, 33), (1, 3, 8, 8)):
        x = torch.rand(shape, generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(similarity(x, x), torch.ones(1).double())


def test_energy_is_nearly_that_of_the_shifted_image() -> None:
    """Which a real wavelet transform's is not."""
    x = torch.zeros(1, 1, 64, 64, dtype=torch.float64)
    x[..., 32, 32] = 1
    energies = torch.stack([transform(x.roll(k, 3), 3)[2].abs().square().sum((0, 1, 3, 4)) for k in range(8)])
    assert torch.all(energies.std(0) < 0.05 * energies.mean(0))
