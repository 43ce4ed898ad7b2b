"""Batch normalisation as an affine map."""

import copy

import pytest
import torch
from torch import nn

from harness.models.normalization import BatchNorm2d


@pytest.fixture
def pair() -> tuple[BatchNorm2d, nn.BatchNorm2d]:
    """Ours and torch's, with the same trained weights and statistics."""
    ours, theirs = BatchNorm2d(6), nn.BatchNorm2d(6)
    rng = torch.Generator().manual_seed(0)
    for name, value in theirs.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand(6, generator=rng) + (0.1 if name == "running_var" else 0))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def test_eval_mode_agrees_with_torch(pair: tuple[BatchNorm2d, nn.BatchNorm2d]) -> None:
    ours, theirs = (layer.eval().requires_grad_(False) for layer in pair)
    x = torch.randn(5, 6, 4, 4, generator=torch.Generator().manual_seed(1))
    expected = theirs(x)
    assert float((ours(x) - expected).abs().max()) <= 2e-7 * float(expected.abs().max())
    x, ours, theirs = x.double(), ours.double(), theirs.double()
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-13, atol=1e-13)


def test_train_mode_is_torchs_own(pair: tuple[BatchNorm2d, nn.BatchNorm2d]) -> None:
    ours, theirs = (copy.deepcopy(layer).train() for layer in pair)
    x = torch.randn(5, 6, 4, 4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(ours(x), theirs(x))
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)
    assert int(ours.num_batches_tracked or 0) == 1
