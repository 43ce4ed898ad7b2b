"""How alike gradients are, against what is known of them."""

import pytest
import torch

from harness.config import compose
from harness.papers.survey.detection import counted, split
from harness.papers.survey.similarity import cosine, cosines, described, flat, picture
from harness.runs.clients import open_targets


def test_pairs_are_described() -> None:
    vectors = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    n, mean, median, alike, far = described(vectors)
    assert (n, median) == (3, 0.0)
    assert mean == pytest.approx(1 / 3)
    assert alike == pytest.approx(1 / 3)
    assert far == pytest.approx((1 + 2**0.5 + 5**0.5) / 3)
    assert cosines(torch.zeros(2, 3, dtype=torch.float64)).abs().max() == 0


def test_a_batch_of_one_image_is_like_itself_and_its_mean_like_its_parts() -> None:
    client = open_targets(
        compose("attack=ig", "model=mlp", "fl.batch_size=2", "logger=none", "trials=1")
    ).client(0)
    model, truth = client.problem.observation.model, client.truth
    ones = [flat(model, type(truth)(truth.x[k : k + 1], truth.y[k : k + 1])) for k in range(2)]
    assert cosine(flat(model, truth), (ones[0] + ones[1]) / 2) == pytest.approx(1, abs=1e-6)


def test_the_picture_is_the_same_every_time() -> None:
    vectors = torch.randn(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shown = {"Untrained": (vectors, torch.arange(8) % 2)}
    assert picture(shown) == picture(shown)


def test_alarms_are_counted_with_their_signs_and_interval() -> None:
    rows = [{"detected": False, "detected_by": ""}] * 199 + [{"detected": True, "detected_by": "loss, D-SNR"}]
    models, alarms, rate, low, high, signs = counted(rows)
    assert (models, alarms, rate, signs) == (200, 1, 0.005, "loss 1, D-SNR 1")
    assert 0 < low < rate < high < 0.03


def test_what_is_held_back_is_set_apart() -> None:
    timed = {"gate_seconds": 1.0, "seconds": 2.0}
    rows = [
        {"detected": True, "psnr_unit": 30.0, **timed},
        {"detected": False, "psnr_unit": 25.0, **timed},
        {"detected": False, "psnr_unit": None, **timed},
    ]
    assert split(rows) == (3, 1, 1, 1, 1.0, 2.0)
