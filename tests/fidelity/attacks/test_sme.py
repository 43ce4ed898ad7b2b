"""The surrogate model extension, as in JunyiZhu-AI/surrogate_model_extension."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from harness.attacks.sme import PLACE
from harness.core import Batch, Knowledge, Observation
from harness.federated.fedavg import FedAvg
from tests.conftest import Observe
from tests.fidelity.attacks.statements import (
    Points,
    angle,
    configured,
    cross_entropy,
    logits,
    searched,
    slope,
    thirds,
    variation,
)
from tests.fidelity.conftest import Fidelity

STEPS, RATE = 24, 0.5
WHAT = "(Zhu et al. 2023, equation 5; code)"


def training(observe: Observe, batch: Batch) -> Observation:
    """Two epochs in batches of two and one, sent as they are."""
    protocol = FedAvg(examples_per_client=3, batch_size=2, local_epochs=2, lr=RATE)
    return observe(batch, protocol, Knowledge(labels=batch.y))


def surrogate(seen: Observation, alpha: Tensor | float) -> Points:
    """(1 - alpha) w_0 + alpha w_T."""
    return {name: (1 - alpha) * w + alpha * (w - seen.update[name]) for name, w in seen.params.items()}


def images() -> Tensor:
    return torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.8])
def test_the_objective(alpha: float, observe: Observe, batch: Batch, fidelity: Fidelity) -> None:
    seen, attack = training(observe, batch), configured("sme", alpha=alpha)
    variables = {"images": images(), PLACE: torch.tensor([alpha / attack.pace], dtype=torch.float64)}
    found = attack.loss(variables, seen, attack.prepare(seen))
    gradient = slope(surrogate(seen, alpha), images(), batch.y)
    expected = angle(gradient, seen.update) + 0.01 * variation(images())
    fidelity(
        "attack",
        "sme",
        f"1 - cos of w_0 - w_T and one gradient between them, + .01 TV {WHAT}",
        found,
        expected,
    )


def test_the_slope_in_alpha(observe: Observe, batch: Batch, fidelity: Fidelity) -> None:
    """The authors' d alpha = <dL/dw, w_T - w_0>."""
    seen, attack = training(observe, batch), configured("sme")
    place = torch.tensor([0.4 / attack.pace], dtype=torch.float64, requires_grad=True)
    loss = attack.loss({"images": images(), PLACE: place}, seen, attack.prepare(seen))
    (found,) = torch.autograd.grad(loss, place)
    between = {name: w.detach().requires_grad_() for name, w in surrogate(seen, 0.4).items()}
    first = torch.autograd.grad(
        cross_entropy(logits(between, images()), batch.y), list(between.values()), create_graph=True
    )
    distance = angle(dict(zip(between, first, strict=True)), seen.update)
    along = torch.autograd.grad(distance, list(between.values()), materialize_grads=True)
    expected = -sum((g * seen.update[name]).sum() for name, g in zip(between, along, strict=True))
    fidelity("attack", "sme", "d alpha = <dL/dw, w_T - w_0> (code)", found[0] / attack.pace, expected)


def test_the_first_steps(observe: Observe, batch: Batch, fidelity: Fidelity) -> None:
    """Two Adams, of rates 1 and .001, in three stages; images boxed before the first step, alpha in [0, 1]."""
    seen = training(observe, batch)
    losses, _, start = searched(configured("sme"), seen, STEPS)
    assert float(start["images"].abs().max()) <= 1
    u = start["images"].clone().requires_grad_()
    alpha = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    adams = [torch.optim.Adam([u], lr=1.0), torch.optim.Adam([alpha], lr=1e-3, eps=1e-5)]
    rates = [torch.optim.lr_scheduler.LambdaLR(each, thirds(STEPS)) for each in adams]
    expected: list[float] = []
    for _ in range(STEPS):
        loss = angle(slope(surrogate(seen, alpha), u, batch.y), seen.update) + 0.01 * variation(u)
        expected.append(float(loss.detach()))
        u.grad, alpha.grad = torch.autograd.grad(loss, [u, alpha])
        for optimizer, rate in zip(adams, rates, strict=True):
            optimizer.step()
            rate.step()
        with torch.no_grad():
            u.clamp_(-1, 1)
            alpha.clamp_(0, 1)
    what = "24 iterates: Adam of rates 1 and .001, times .1 at 3/8, 5/8 and 7/8, boxed (code; alpha's epsilon 1e-5)"
    fidelity("attack", "sme", what, losses, expected, tolerance=1e-7)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_the_truth_has_no_loss_where_the_client_made_one_step(
    alpha: float, observe: Observe, batch: Batch
) -> None:
    """At w_0 the one step is the gradient itself, and elsewhere it is not."""
    protocol = FedAvg(examples_per_client=3, batch_size=3, local_epochs=1, lr=RATE)
    seen = observe(batch, protocol, Knowledge(labels=batch.y))
    attack = configured("sme", alpha=alpha, total_variation=0.0)
    truth = {"images": 2 * batch.x - 1, PLACE: torch.tensor([alpha / attack.pace], dtype=torch.float64)}
    loss = float(attack.loss(truth, seen, attack.prepare(seen)))
    assert abs(loss) < 1e-14 if alpha == 0 else loss > 1e-9


@pytest.mark.parametrize("scaling", ["raw", "per_step", "per_lr"])
def test_the_last_weights_do_not_hang_on_the_scaling(scaling: str, observe: Observe, batch: Batch) -> None:
    protocol = FedAvg(examples_per_client=3, batch_size=1, local_epochs=2, lr=RATE)
    attack, knowledge = configured("sme"), Knowledge(labels=batch.y)
    seen, scaled = (
        observe(batch, each, knowledge) for each in (protocol, replace(protocol, scaling=scaling))
    )
    at = {"images": images(), PLACE: torch.tensor([700.0], dtype=torch.float64)}
    losses = [float(attack.loss(at, each, attack.prepare(each))) for each in (seen, scaled)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)
