"""What clients look for, beside the formulas."""

import math

import torch
from torch import Tensor, nn

from harness.checks.client import Outgoing
from harness.checks.gate import Gate
from harness.checks.structure import half_negated_rows, parallel_rows
from harness.checks.update import d_snr, relative_loss
from harness.core import Attack, Batch, Classifier, Normalize, Observation, Reconstruction, component
from harness.federated.fedsgd import FedSGD
from harness.metrics.psnr import PSNR
from tests.fidelity.conftest import Fidelity

IMAGES, CLASSES = 6, 4


def victim() -> Classifier:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 12), nn.Tanh(), nn.Linear(12, CLASSES))
    return Classifier(Normalize((0.0,) * 3, (1.0,) * 3), network).double().eval()


def batch() -> Batch:
    rng = torch.Generator().manual_seed(3)
    x = torch.rand(IMAGES, 3, 4, 4, generator=rng, dtype=torch.float64)
    return Batch(x, torch.arange(IMAGES) % CLASSES)


def written_out(model: Classifier, given: Batch) -> tuple[Tensor, float]:
    """The gradients' lengths [layers, images] of tanh(x W1 + b1) W2 + b2, by the chain rule, and the mean loss."""
    first, last = model.get_submodule("network.1"), model.get_submodule("network.3")
    w1, b1, w2, b2 = (p.detach() for layer in (first, last) for p in layer.parameters())
    x = given.x.flatten(1)
    hidden = (x @ w1.T + b1).tanh()
    scores = hidden @ w2.T + b2
    p = scores.exp() / scores.exp().sum(1, keepdim=True)
    error = p.clone()
    error[torch.arange(IMAGES), given.y] -= 1
    below = (error @ w2) * (1 - hidden**2)
    each = [
        torch.einsum("no,ni->noi", a, b).flatten(1).square().sum(1).sqrt()
        for a, b in ((below, x), (error, hidden))
    ]
    return torch.stack(each), float(-p[torch.arange(IMAGES), given.y].log().mean())


def test_d_snr_and_the_loss(fidelity: Fidelity) -> None:
    model, given = victim(), batch()
    lengths, loss = written_out(model, given)
    ratios = [
        float(row[k] / (row.square().sum() - row[k] ** 2).sqrt()) for row in lengths for k in [row.argmax()]
    ]
    what = "D-SNR: max over layers of max_i |g_i| / sqrt(sum over others of |g_j|^2) (Garov et al. 2024)"
    found = d_snr(model, given)
    assert found is not None
    fidelity("checks", "thresholds", what, found, max(ratios))
    fidelity(
        "checks",
        "thresholds",
        "loss over log K, that of a guess",
        relative_loss(model, given),
        loss / math.log(CLASSES),
    )


def test_rows_that_measure_the_same_and_rows_of_two_halves(fidelity: Fidelity) -> None:
    rng = torch.Generator().manual_seed(0)
    rows = torch.randn(20, 16, generator=rng, dtype=torch.float64)
    rows[:5] = rows[0] * torch.arange(1, 6)[:, None]
    what = "the share of rows with |cos| 1 to another (Fowl et al. 2022 have all of them)"
    fidelity("checks", "thresholds", what, parallel_rows({"w": rows}) or 0.0, 5 / 20)
    half = torch.rand(3, 8, generator=rng, dtype=torch.float64)
    rows[10:13] = torch.cat([-half, 0.9 * half], 1)[:, torch.randperm(16, generator=rng)]
    what = "the share of rows whose positive half is the negative one times a factor (Boenisch et al. 2023)"
    fidelity("checks", "thresholds", what, half_negated_rows({"w": rows}) or 0.0, 3 / 20)


@component
class Blurred(Attack):
    """Half of an image, half grey."""

    truth: Tensor

    def reconstruct(self, observation: Observation, rng: torch.Generator) -> Reconstruction:
        x = (self.truth + 0.5) / 2
        return Reconstruction(x, torch.zeros(len(x), dtype=torch.int64), 0.0, 0.0, "budget", 1, 1)


def test_the_gate_has_the_relative_data_leakage_value(fidelity: Fidelity) -> None:
    model, given = victim(), batch()
    params = {name: value.detach() for name, value in model.named_parameters()}
    seen = Observation(
        model=model, params=params, update={}, protocol=FedSGD(), n=IMAGES, shape=(3, 4, 4), classes=CLASSES
    )
    gate = Gate(attack=Blurred(truth=given.x), similarity=PSNR())
    known = [-10 * math.log10(float((x - 0.5).square().mean())) for x in given.x]
    expected = max(20 * math.log10(2) / before for before in known)
    what = "max over images of (s(found, x) - s(prior, x)) / s(prior, x) (Hatamizadeh et al. 2023)"
    fidelity("checks", "gate", what, gate.leakage(Outgoing(model, given, lambda: seen, 0)), expected)
