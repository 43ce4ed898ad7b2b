"""The picture of a run has every pixel where the page looks for it; settings are told where they differ."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.report.runs import MOST, SIDE, Listed, settings, sprite


@given(st.integers(1, 4), st.sampled_from([1, 3]), st.integers(1, 9), st.integers(1, 9))
def test_a_sprite_has_truth_above_reconstruction_image_by_image(n: int, c: int, h: int, w: int) -> None:
    rng = torch.Generator().manual_seed(n + 10 * h + 100 * w)
    truth, found = torch.rand(2, n, c, h, w, generator=rng)
    pixels = np.asarray(sprite(truth, found))
    assert pixels.shape == (2 * h, n * w, 3)
    for line, images in enumerate((truth, found)):
        for place, image in enumerate(images):
            shown = pixels[line * h : (line + 1) * h, place * w : (place + 1) * w]
            expected = (image * 255).round().byte().expand(3, -1, -1).permute(1, 2, 0).numpy()
            assert (shown == expected).all()


@pytest.mark.parametrize(
    ("shape", "size"), [((MOST + 1, 1, 4, 6), (6 * MOST, 8)), ((2, 3, 2 * SIDE, SIDE), (SIDE, 2 * SIDE))]
)
def test_many_images_are_cut_and_large_ones_made_small(shape: tuple[int, ...], size: tuple[int, int]) -> None:
    assert sprite(torch.zeros(shape), torch.zeros(shape)).size == size


def test_only_settings_in_which_runs_of_one_component_differ_are_told() -> None:
    def record(identity: str, attack: str, steps: int, rate: float) -> Listed:
        config: dict[str, Any] = {
            "attack": {"steps": steps, "lr": rate},
            "seed": 0,
            "choices": {"attack": attack},
        }
        return Listed(identity, config, {}, 1)

    told = settings([record("a", "ig", 1, 0.1), record("b", "ig", 2, 0.1), record("c", "dlg", 3, 0.5)])
    assert told == {"a": "attack.steps 1", "b": "attack.steps 2", "c": ""}
