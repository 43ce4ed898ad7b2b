"""MSE, PSNR, SSIM and MSE-R, one number for each image."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from harness.core import Batch, Classifier, Metric, Normalize
from harness.metrics.mse import MSE
from harness.metrics.psnr import PSNR
from harness.metrics.reached import Reached
from harness.metrics.representation import RepresentationMSE
from harness.metrics.ssim import SSIM

MODEL = Classifier(Normalize((0.0,), (1.0,)), nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))


def batch(x: Tensor) -> Batch:
    return Batch(x, torch.zeros(len(x), dtype=torch.int64))


def score(metric: Metric, found: Tensor, truth: Tensor) -> Tensor:
    scores = metric(batch(found), batch(truth), MODEL, {})
    assert scores is not None
    assert scores.shape == (len(truth),)
    return scores


def images(n: int = 4, channels: int = 1, size: int = 16, seed: int = 0) -> Tensor:
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(seed))


def test_mse_and_psnr_of_known_differences() -> None:
    truth = torch.zeros(3, 1, 4, 4)
    found = torch.stack([torch.full((1, 4, 4), level) for level in (1.0, 0.1, 0.01)])
    assert score(MSE(), found, truth).tolist() == pytest.approx([1, 0.01, 0.0001])
    assert score(PSNR(), found, truth).tolist() == pytest.approx([0, 20, 40], abs=1e-5)
    assert score(PSNR(convention="ggl"), found, truth).tolist() == pytest.approx(
        [-6.0206, 13.9794, 33.9794], abs=1e-4
    )


@settings(deadline=None, max_examples=50)
@given(level=st.floats(0, 1), size=st.integers(1, 6))
def test_the_conventions_differ_by_a_constant(level: float, size: int) -> None:
    """GGL's figures are -10 log10(MSE) on [-1, 1]: the identity holds even for an exact image."""
    truth = images(2, size=size)
    found = truth * level
    unit, ggl = score(PSNR(), found, truth), score(PSNR(convention="ggl"), found, truth)
    torch.testing.assert_close(ggl, unit - 10 * math.log10(4), rtol=0, atol=1e-9)
    on_signed = (2 * found.double() - 2 * truth.double()).square().mean((1, 2, 3))
    torch.testing.assert_close(score(MSE(convention="ggl"), found, truth), on_signed)


def test_an_exact_image_does_not_make_the_mean_infinite() -> None:
    truth = images()
    found = truth.clone()
    found[1:] += 0.1
    psnr = score(PSNR(), found, truth)
    assert psnr.tolist() == pytest.approx([100, 20, 20, 20], abs=1e-4)
    assert float(score(MSE(), found, truth)[0]) == 0


def test_scores_belong_to_one_image_each() -> None:
    """LeakPro compares each image with the whole batch and sums PSNR over it."""
    truth, found = images(seed=1), images(seed=2)
    for metric in (MSE(), PSNR(), SSIM()):
        together = score(metric, found, truth)
        alone = torch.cat([score(metric, found[i : i + 1], truth[i : i + 1]) for i in range(4)])
        torch.testing.assert_close(together, alone)


def test_ssim_agrees_with_the_formula_in_the_middle_of_a_large_image() -> None:
    """Against scikit-image, which leaves the border out: at 128 pixels that matters little."""
    from skimage.metrics import structural_similarity

    truth = nn.functional.interpolate(images(2, 3, 16), size=128, mode="bilinear")
    found = (truth + 0.1 * images(2, 3, 128, seed=3)).clamp(0, 1)
    for i, value in enumerate(score(SSIM(), found, truth).tolist()):
        expected = structural_similarity(
            found[i].double().numpy(),
            truth[i].double().numpy(),
            data_range=1.0,
            channel_axis=0,
            gaussian_weights=True,
            use_sample_covariance=False,
        )
        assert value == pytest.approx(expected, abs=0.01)
    assert score(SSIM(), truth, truth).tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 11, 40)])
def test_ssim_is_torchmetrics_but_separable(shape: tuple[int, int, int]) -> None:
    """To rounding, which C2 magnifies a thousandfold where an image is flat (the last)."""
    from harness.machine import vision as vision  # before torchmetrics, isort: skip
    from torchmetrics.functional.image import structural_similarity_index_measure

    rng = torch.Generator().manual_seed(0)
    truth = torch.rand(5, *shape, generator=rng)
    truth[-1] = 0.5
    share = torch.tensor([0, 1e-4, 0.1, 1.0, 1e-3]).view(-1, 1, 1, 1)
    found = torch.lerp(truth, torch.rand(5, *shape, generator=rng), share)
    expected = structural_similarity_index_measure(
        found.double(), truth.double(), data_range=1.0, sigma=1.5, reduction="none"
    )
    assert isinstance(expected, Tensor)
    difference = (score(SSIM(), found, truth) - expected).abs()
    assert difference[:-1].max() < 1e-15
    assert difference[-1] < 2e-13


def test_ssim_is_missing_for_images_below_its_window() -> None:
    assert SSIM()(batch(images(size=10)), batch(images(size=10)), MODEL, {}) is None
    assert SSIM()(batch(images(size=11)), batch(images(size=11)), MODEL, {}) is not None


def test_representation_mse_is_that_of_the_heads_input_under_the_parameters() -> None:
    torch.manual_seed(0)
    hidden = nn.Linear(16, 8)
    network = nn.Sequential(nn.Flatten(), hidden, nn.Linear(8, 3))
    model = Classifier(Normalize((0.5,), (0.5,)), network).requires_grad_(False)
    params = {name: 3 * p for name, p in model.named_parameters()}
    found, truth = images(2, size=4, seed=1), images(2, size=4, seed=2)
    difference = (2 * (found - truth)).flatten(1) @ (3 * hidden.weight).T
    scores = RepresentationMSE()(batch(found), batch(truth), model, params)
    torch.testing.assert_close(scores.float(), difference.square().mean(1))


def test_directions() -> None:
    assert [m.higher_is_better for m in (MSE(), PSNR(), SSIM(), RepresentationMSE())] == [
        False,
        True,
        True,
        False,
    ]


def test_a_threshold_is_passed_in_the_direction_of_its_metric() -> None:
    truth = torch.zeros(3, 1, 4, 4)
    found = torch.stack([torch.full((1, 4, 4), level) for level in (1.0, 0.1, 0.01)])
    assert score(Reached(metric=MSE(), threshold=0.01), found, truth).tolist() == [False, False, True]
    assert score(Reached(metric=PSNR(), threshold=15.0), found, truth).tolist() == [False, True, True]
    small = batch(truth)
    assert Reached(metric=SSIM(), threshold=0.8)(small, small, MODEL, {}) is None
    assert not Reached(metric=SSIM(), threshold=0.8).needs_model
    assert Reached(metric=RepresentationMSE(), threshold=0.8).needs_model
