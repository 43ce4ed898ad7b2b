"""CPA-FI: the terms of both searches, and that they have nothing to object to at the truth."""

import math

import pytest
import torch
from torch import Tensor, nn

from harness.attacks.cpa import UNMIXING
from harness.core import Batch, Classifier, Normalize, Observation
from harness.federated.fedsgd import FedSGD
from harness.models.embeddings import embeddings
from tests.fidelity.attacks.statements import configured, one_of_each, variation
from tests.fidelity.conftest import Fidelity

SHAPE, WIDE, HIDDEN, CLASSES, IMAGES = (2, 6, 6), 27, 20, 7, 4
WEIGHTS = {"cpa_fi": (25_000, 25_000, 0.13, 1e-3), "cpa_fi_small": (400, 1000, 1.3, 1e-2)}
WHAT = "(Kariyappa et al. 2023, section 5; code)"


@pytest.fixture
def truth() -> Batch:
    return one_of_each(IMAGES, SHAPE)


@pytest.fixture
def seen(truth: Batch) -> Observation:
    with torch.random.fork_rng():
        torch.manual_seed(6)
        before = nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten()
        layers = *before, nn.Linear(WIDE, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES)
    model = Classifier(Normalize((0.5,) * 2, (0.5,) * 2), nn.Sequential(*layers)).double().eval()
    params, protocol = dict(model.requires_grad_(False).named_parameters()), FedSGD(batch_size=IMAGES)
    update = protocol.update(model, params, truth)
    return Observation(model, params, update, protocol, IMAGES, SHAPE, CLASSES)


def embedded(seen: Observation, x: Tensor) -> Tensor:
    """relu(conv(normalised x)), written out."""
    weight, bias = seen.params["network.0.weight"], seen.params["network.0.bias"]
    patches = nn.functional.unfold((x - 0.5) / 0.5, 3, stride=2, padding=1)
    return (torch.einsum("of,nfl->nol", weight.flatten(1), patches) + bias[:, None]).clamp(min=0).flatten(1)


def test_the_loss_of_the_unmixing(seen: Observation, fidelity: Fidelity) -> None:
    draw = torch.Generator().manual_seed(7)
    unmixing = torch.randn(IMAGES, IMAGES, generator=draw, dtype=torch.float64)
    u = unmixing / unmixing.square().sum(1, keepdim=True).sqrt()
    for name, (_, steps, weight, rate) in WEIGHTS.items():
        attack = configured(name).unmixing
        assert (attack.steps, attack.optimizer.lr, attack.nonnegativity) == (steps, rate, weight)
        known = attack.prepare(seen)
        sources = u @ known["white"] @ seen.update["network.3.weight"]
        mean = (7.7 * (u @ u.T).abs()).exp().sub(1).mean() - (math.exp(7.7) - 1) / IMAGES  # less its diagonal
        entropy = ((u @ known["mixed"]).cosh().log().mean(1) ** 2).mean()
        signs = [(sources.clamp(min=0) ** 2).sum(1).sqrt(), (sources.clamp(max=0) ** 2).sum(1).sqrt()]
        one_sign = torch.minimum(*signs).mean()
        expected = 5.3 * mean - entropy + weight * one_sign + 5 * sources.abs().mean()
        what = f"5.3 mean(e^(7.7 |cos|) - 1) - mean_i(mean log cosh)^2 + {weight} min(|s+|, |s-|) + 5 mean|S| {WHAT}"
        fidelity("attack", name, what, attack.loss({UNMIXING: unmixing}, seen, known), expected)


def test_the_loss_of_the_inversion(seen: Observation, truth: Batch, fidelity: Fidelity) -> None:
    images = seen.model.normalize(
        torch.rand(IMAGES, *SHAPE, generator=torch.Generator().manual_seed(8)).double()
    )
    wanted, found = embedded(seen, truth.x), embedded(seen, images * 0.5 + 0.5)
    lengths = found.square().sum(1).sqrt() * wanted.square().sum(1).sqrt()
    cosines = (found * wanted).sum(1) / lengths
    expected = (1 - cosines).mean() + 0.1 * variation(images)
    for name, (steps, *_) in WEIGHTS.items():
        attack = configured(name)
        assert (attack.steps, attack.optimizer.lr, attack.optimizer.schedule) == (steps, 0.1, "cosine")
        actual = attack.loss({"images": images}, seen, {"embeddings": wanted})
        fidelity("attack", name, f"mean 1 - cos of the embeddings + 0.1 TV {WHAT}", actual, expected)


def test_nothing_is_lost_at_the_truth(seen: Observation, truth: Batch, fidelity: Fidelity) -> None:
    """What is lost is lost in the searches: the embeddings are in the gradient, and the images have them."""
    true = embedded(seen, truth.x)
    gradient = seen.update["network.3.weight"]
    mixture = torch.linalg.pinv(gradient.T, rtol=1e-9) @ true.T
    for name in WEIGHTS:
        what = "what the first linear layer sees"
        fidelity("attack", name, what, embeddings(seen.model, seen.params, truth.x), true)
        what = "an untrained network's embeddings are sums of the gradient's rows: residual"
        fidelity("attack", name, what, gradient.T @ mixture, true.T)
        images = seen.model.normalize(truth.x)
        apart = configured(name, total_variation=0.0).loss({"images": images}, seen, {"embeddings": true})
        fidelity("attack", name, "no cosine loss at the client's own images", apart, torch.zeros(()).double())
