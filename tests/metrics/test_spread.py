"""The spread of images is none where they are one."""

import torch
from torch import nn

from harness.core import Batch, Classifier, Normalize
from harness.metrics.spread import Spread

NOBODY = Classifier(Normalize((0.0,), (1.0,)), nn.Linear(1, 1))


def test_the_same_image_has_none_and_noise_that_of_its_pixels() -> None:
    noise = Batch(torch.rand(64, 1, 16, 16, generator=torch.Generator().manual_seed(0)), torch.zeros(64))
    same = Batch(noise.x[:1].expand(64, -1, -1, -1), noise.y)
    assert Spread()(same, noise, NOBODY, {}).tolist() == [0] * 64
    found = Spread()(noise, same, NOBODY, {})
    assert found.unique().tolist() == [found[0]]
    assert abs(float(found[0]) - 12**-0.5) < 0.01
