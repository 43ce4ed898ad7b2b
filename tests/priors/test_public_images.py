"""The public images that a prior is trained on."""

from pathlib import Path

import pytest
import torch
from torch.utils.data import TensorDataset

from harness.core import UserError
from harness.priors import wgan_gp
from harness.priors.wgan_gp import public_images
from tests.priors.stripes import Labelled, Stripes, prior


def test_public_images_are_all_there_to_a_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wgan_gp, "BATCH", 4)
    images = public_images(Stripes(), None)
    truth = Stripes().load("public", None).tensors[0]  # type: ignore[attr-defined]
    assert images.shape == truth.shape
    assert (images / 255 - truth).abs().max() <= 0.5 / 255 + 1e-6


def test_a_withheld_class_is_not_among_the_images() -> None:
    images, labels = Stripes().load("public", None).tensors  # type: ignore[attr-defined]
    shown = public_images(Stripes(), None, withheld=1)
    assert torch.equal(shown, (images[labels == 0] * 255).round().byte())


@pytest.mark.parametrize("labels", [[0, 0], [1, 1]])
def test_to_withhold_nothing_or_all_is_a_user_error(
    labels: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    split = Labelled(torch.zeros(2, 1, 8, 8), torch.tensor(labels))
    monkeypatch.setattr(Stripes, "load", lambda self, of, root: split)
    with pytest.raises(UserError, match=r"prior\.withheld=1: .* of that class, of 0 to 1"):
        prior(withheld=1).check(Stripes(), None)


def test_too_many_images_for_memory_is_a_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wgan_gp, "MAX_BYTES", 21 * 64 - 1)
    with pytest.raises(UserError, match=r"lower dataset\.public_fraction"):
        prior().generator(Stripes(), None, str(tmp_path), 0)


def test_no_public_images_is_a_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = TensorDataset(torch.zeros(0, 1, 8, 8), torch.zeros(0))
    monkeypatch.setattr(Stripes, "load", lambda self, split, root: empty)
    with pytest.raises(UserError, match="no public images"):
        prior().generator(Stripes(), None, str(tmp_path), 0)
