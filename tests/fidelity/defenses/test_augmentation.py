"""Random crops and flips."""

import numpy as np
import torch

from harness.core import Batch, generator
from harness.defenses.augmentation import Augmentation
from tests.fidelity.conftest import Fidelity


def test_a_crop_of_the_padded_image_or_of_its_mirror(fidelity: Fidelity) -> None:
    x = torch.rand(16, 3, 8, 10, generator=generator("images"), dtype=torch.float64)
    rng = generator("crops")
    shifts = torch.randint(9, (2, 16), generator=rng)
    mirrored = torch.rand(16, generator=rng) < 0.5
    assert set(mirrored.tolist()) == {True, False}
    expected = np.zeros((16, 3, 8, 10))
    for i, image in enumerate(x.numpy()):
        padded = np.pad(image, ((0, 0), (4, 4), (4, 4)))
        top, left = int(shifts[0, i]), int(shifts[1, i])
        crop = padded[:, top : top + 8, left : left + 10]
        expected[i] = crop[:, :, ::-1] if mirrored[i] else crop
    found = Augmentation().on_batch(Batch(x, torch.zeros(16).long()), generator("crops"))
    fidelity(
        "defense",
        "augmentation",
        "a random crop after 4 pixels of zeros, mirrored or not (He et al. 2016, section 4.2)",
        found.x,
        torch.from_numpy(expected),
        tolerance=0,
    )
