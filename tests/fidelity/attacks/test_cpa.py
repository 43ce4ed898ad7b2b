"""CPA: whitening, the terms of its loss, and that the images lie in the span of the gradient's rows."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from harness.attacks.cpa import UNMIXING, log_cosh
from harness.core import Batch, Classifier, Normalize, Observation
from harness.federated.fedsgd import FedSGD
from tests.fidelity.attacks.statements import configured, one_of_each, variation
from tests.fidelity.conftest import Fidelity

SHAPE, PIXELS, HIDDEN, CLASSES, IMAGES = (2, 6, 6), 72, 20, 4, 4
WEIGHTS = {"cpa": (1.47, 12.4, 3.1, 25_000, 1e-3), "cpa_small": (0.3, 5.0, 3.1, 500, 3e-2)}
WHAT = "(Kariyappa et al. 2023, section 4; code)"


@pytest.fixture
def truth() -> Batch:
    return one_of_each(IMAGES, SHAPE)


@pytest.fixture
def seen(truth: Batch) -> Observation:
    with torch.random.fork_rng():
        torch.manual_seed(6)
        layers = nn.Flatten(), nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES)
    model = Classifier(Normalize((0.5,) * 2, (0.5,) * 2), nn.Sequential(*layers)).double().eval()
    params, protocol = dict(model.requires_grad_(False).named_parameters()), FedSGD(batch_size=IMAGES)
    update = protocol.update(model, params, truth)
    return Observation(model, params, update, protocol, IMAGES, SHAPE, CLASSES)


def eigenvectors(matrix: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest eigenvalues and their vectors, by the singular value decomposition of a symmetric matrix."""
    vectors, values, _ = torch.linalg.svd(matrix)
    return values[:count], vectors[:, :count].T


def test_whitening(seen: Observation, fidelity: Fidelity) -> None:
    gradient = seen.update["network.1.weight"]
    mean = gradient.mean(1, keepdim=True)
    values, vectors = eigenvectors((gradient - mean) @ (gradient - mean).T / (PIXELS - 1), IMAGES)
    white = vectors / values.sqrt()[:, None]
    for name in WEIGHTS:
        known = configured(name).prepare(seen)
        signs = (known["white"] * white).sum(1).sign()[:, None]
        what = f"W = diag(lambda^-1/2) V^T of the centred rows' covariance, up to signs {WHAT}"
        fidelity("attack", name, what, known["white"], signs * white)
        covariance = known["mixed"] @ known["mixed"].T / (PIXELS - 1)
        fidelity(
            "attack", name, "rows of W G are uncorrelated, variance 1", covariance, torch.eye(4).double()
        )


def test_the_loss(seen: Observation, fidelity: Fidelity) -> None:
    draw = torch.Generator().manual_seed(7)
    unmixing = torch.randn(IMAGES, IMAGES, generator=draw, dtype=torch.float64)
    u = unmixing / unmixing.square().sum(1, keepdim=True).sqrt()
    for name, (weight, sharpness, smooth, steps, rate) in WEIGHTS.items():
        attack = configured(name)
        assert (attack.steps, attack.optimizer.lr) == (steps, rate)
        known = attack.prepare(seen)
        sources = (u @ known["mixed"]).cosh().log()
        pictures = (u @ known["white"] @ seen.update["network.1.weight"]).view(IMAGES, *SHAPE)
        mean = (sharpness * (u @ u.T).abs()).exp().sub(1).mean()
        constant = (math.exp(sharpness) - 1) / IMAGES  # of the diagonal, which we leave out
        expected = weight * (mean - constant) - (sources.mean(1) ** 2).mean() + smooth * variation(pictures)
        what = f"{weight} mean(e^({sharpness} |cos|) - 1) - mean_i(mean log cosh)^2 + {smooth} TV {WHAT}"
        fidelity("attack", name, what, attack.loss({UNMIXING: unmixing}, seen, known), expected)
        without = replace(attack, negentropy=0.0).loss({UNMIXING: unmixing}, seen, known)
        what = "without negentropy, as the authors' code"
        fidelity("attack", name, what, without, expected + (sources.mean(1) ** 2).mean())


def test_images_lie_in_the_span_of_the_rows(seen: Observation, truth: Batch, fidelity: Fidelity) -> None:
    """So what is lost is lost in the search: at the true unmixing the images come back, to scale and sign."""
    gradient = seen.update["network.1.weight"]
    pixels = seen.model.normalize(truth.x).flatten(1)
    mixture = torch.linalg.lstsq(gradient.T, pixels.T).solution
    for name in WEIGHTS:
        what = "an untrained network's images are sums of the gradient's rows: residual"
        fidelity("attack", name, what, gradient.T @ mixture, pixels.T)
        attack = configured(name, scale="bias", sign="bias")
        known = attack.prepare(seen)
        mixed = known["mixed"] + known["mean"]
        unmixing = torch.linalg.lstsq(mixed.T, pixels.T).solution.T
        found = attack.decode({UNMIXING: unmixing}, seen, known).x
        fidelity(
            "attack", name, "the true unmixing and the bias give the images", found, truth.x, tolerance=1e-7
        )


def test_large_values_do_not_overflow(fidelity: Fidelity) -> None:
    x = torch.tensor([-800.0, -1, 0, 1e-3, 3, 800], dtype=torch.float64)
    expected = [abs(v) - math.log(2) if abs(v) > 100 else math.log(math.cosh(v)) for v in x.tolist()]
    fidelity("attack", "cpa", "log cosh, without overflow", log_cosh(x), expected)
