"""What a client reads off its own images, beside the formulas written out."""

import math

import pytest
import torch
from torch import nn

from harness.checks.update import d_snr, relative_loss
from harness.core import Batch, Classifier, Normalize


@pytest.fixture
def model() -> Classifier:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.Tanh(), nn.Linear(7, 4))
    return Classifier(Normalize((0.0,) * 3, (1.0,) * 3), network).double()


def images(n: int) -> Batch:
    rng = torch.Generator().manual_seed(n)
    return Batch(torch.rand(n, 3, 2, 2, generator=rng, dtype=torch.float64), torch.arange(n) % 4)


def test_the_loss_of_a_guess_is_one(model: Classifier) -> None:
    with torch.no_grad():
        for value in model.network[3].parameters():
            value.zero_()
    assert relative_loss(model, images(5)) == pytest.approx(1)


def test_d_snr_is_its_formula(model: Classifier) -> None:
    x, y = images(5).x.flatten(1), images(5).y
    first, last = model.network[1], model.network[3]
    with torch.no_grad():
        hidden = torch.tanh(x @ first.weight.T + first.bias)
        slope = (hidden @ last.weight.T + last.bias).softmax(1) - nn.functional.one_hot(y, 4)
        below = (slope @ last.weight) * (1 - hidden**2)
        # a gradient of one image is an outer product, as long as the product of the lengths
        lengths = torch.stack([slope.norm(dim=1) * hidden.norm(dim=1), below.norm(dim=1) * x.norm(dim=1)])
    expected = max(
        float(row.max() / (row.square().sum() - row.max().square()).sqrt()) for row in lengths.unbind()
    )
    assert d_snr(model, images(5)) == pytest.approx(expected, rel=1e-10)


def test_d_snr_of_like_images_is_that_of_their_number(model: Classifier) -> None:
    one = images(1)
    alike = Batch(one.x.expand(10, -1, -1, -1), one.y.expand(10))
    assert d_snr(model, alike) == pytest.approx(1 / math.sqrt(9))


def test_d_snr_needs_two_images_and_a_gradient(model: Classifier) -> None:
    assert d_snr(model, images(1)) is None
    with torch.no_grad():
        for value in model.parameters():
            value.zero_()
        model.network[3].bias.copy_(torch.tensor([1e4, 0, 0, 0]))
    right = Batch(images(3).x, torch.zeros(3, dtype=torch.int64))
    assert d_snr(model, right) is None, "nobody is heard"
    assert d_snr(model, Batch(right.x, torch.tensor([0, 0, 1]))) is None, "nor where only biases are"
