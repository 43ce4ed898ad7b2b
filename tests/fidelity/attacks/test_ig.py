"""Inverting gradients, on a gradient and on updates, as in JonasGeiping/invertinggradients and in Zhu et al. 2024."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from harness.core import Batch, Knowledge, Observation
from harness.federated.fedavg import FedAvg
from tests.conftest import CLASSES, Observe
from tests.fidelity.attacks.statements import (
    Points,
    adam,
    angle,
    boxed,
    configured,
    differences,
    searched,
    slope,
    thirds,
    variation,
)
from tests.fidelity.conftest import Fidelity

STEPS, RATE, EPOCHS = 24, 0.05, 3
WHAT = "(Geiping et al. 2020, equation 4; code)"


def one_gradient(observe: Observe, batch: Batch) -> Observation:
    return observe(batch, knowledge=Knowledge(labels=batch.y))


def training(observe: Observe, batch: Batch, size: int = 3) -> Observation:
    """A client that trains for three epochs, with minibatches of that size."""
    protocol = FedAvg(examples_per_client=3, batch_size=size, local_epochs=EPOCHS, lr=RATE)
    return observe(batch, protocol, Knowledge(labels=batch.y))


def images() -> Tensor:
    return torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def trained(seen: Observation, u: Tensor, y: Tensor, size: int = 3) -> Points:
    """theta_0 - theta_T after as many epochs of plain SGD over minibatches in their order."""
    weights = dict(seen.params)
    for _ in range(EPOCHS):
        for first in range(0, len(u), size):
            found = slope(weights, u[first : first + size], y[first : first + size])
            weights = {name: weights[name] - RATE * found[name] for name in weights}
    return {name: seen.params[name] - weights[name] for name in weights}


def test_the_objective_is_the_angle_and_total_variation(
    observe: Observe, batch: Batch, fidelity: Fidelity
) -> None:
    seen, u, attack = one_gradient(observe, batch), images(), configured("ig")
    found = attack.loss({"images": u}, seen, attack.prepare(seen))
    expected = angle(slope(seen.params, u, batch.y), seen.update) + 0.1 * variation(u)
    fidelity("attack", "ig", f"1 - cos of the whole gradients + .1 TV {WHAT}", found, expected)
    other = replace(attack, distance="l2", total_variation=0.0)
    found = other.loss({"images": u}, seen, other.prepare(seen))
    expected = differences(slope(seen.params, u, batch.y), seen.update)
    fidelity("attack", "ig", "distance=l2: sum of squares (code)", found, expected)


def test_restarts_are_chosen_without_total_variation(
    observe: Observe, batch: Batch, fidelity: Fidelity
) -> None:
    seen, u, attack = one_gradient(observe, batch), images(), configured("ig")
    found = attack.score({"images": u}, seen, attack.prepare(seen), 1e9)
    expected = angle(slope(seen.params, u, batch.y), seen.update)
    fidelity("attack", "ig", "restarts: by 1 - cos alone (code)", found, expected)


@pytest.mark.parametrize("size", [3, 2])
def test_updates_are_unrolled(size: int, observe: Observe, batch: Batch, fidelity: Fidelity) -> None:
    seen, u, attack = training(observe, batch, size), images(), configured("ig_updates")
    found = attack.loss({"images": u}, seen, attack.prepare(seen))
    expected = angle(trained(seen, u, batch.y, size), seen.update) + 1e-6 * variation(u)
    what = "1 - cos of theta_0 - theta_T, unrolled over the client's minibatches, + 1e-6 TV"
    fidelity("attack", "ig_updates", f"{what} (Geiping et al. 2020, section 5.3; code)", found, expected)


def test_zhu_et_al_unroll_a_step_an_epoch_on_all_with_soft_labels(
    observe: Observe, batch: Batch, fidelity: Fidelity
) -> None:
    seen, u, attack = training(observe, batch, size=1), images(), configured("ig_multi")
    soft = torch.randn(3, CLASSES, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    found = attack.loss({"images": u, "logits": soft}, seen, attack.prepare(seen))
    expected = angle(trained(seen, u, soft.softmax(1)), seen.update) + 1e-6 * variation(u)
    what = "1 - cos, a step an epoch on all dummies, soft labels, + 1e-6 TV (the code of Zhu et al. 2024)"
    fidelity("attack", "ig_multi", what, found, expected)


@pytest.mark.parametrize("name", ["ig", "ig_updates"])
def test_the_first_steps(name: str, observe: Observe, batch: Batch, fidelity: Fidelity) -> None:
    """Adam on the sign of the slope, its rate in three stages, the images boxed after every step."""
    local = name == "ig_updates"
    seen = training(observe, batch) if local else one_gradient(observe, batch)
    weight = 1e-6 if local else 0.1
    losses, found, start = searched(configured(name), seen, STEPS)

    def objective(points: Points, _: int) -> Tensor:
        u = points["images"]
        trial = trained(seen, u, batch.y) if local else slope(seen.params, u, batch.y)
        return angle(trial, seen.update) + weight * variation(u)

    expected, best = adam(start, objective, STEPS, 0.1, thirds(STEPS), ("images",), boxed)
    what = "24 iterates: the slope's sign, rate .1, times .1 at 3/8, 5/8 and 7/8, boxed (code)"
    fidelity("attack", name, what, losses, expected, tolerance=1e-7)
    fidelity("attack", name, what, found.x, best["images"] / 2 + 0.5, tolerance=1e-7)


def test_the_labels_slope_keeps_its_size(observe: Observe, batch: Batch, fidelity: Fidelity) -> None:
    """The authors replace the images' gradient by its sign, and no other."""
    seen = training(observe, batch)
    losses, found, start = searched(configured("ig_multi"), seen, STEPS)
    assert set(start) == {"images", "logits"}

    def objective(points: Points, _: int) -> Tensor:
        trial = trained(seen, points["images"], points["logits"].softmax(1))
        return angle(trial, seen.update) + 1e-6 * variation(points["images"])

    expected, best = adam(start, objective, STEPS, 1.0, thirds(STEPS), ("images",), boxed)
    what = "24 iterates: the sign of the images' slope alone, rate 1 (code)"
    fidelity("attack", "ig_multi", what, losses, expected, tolerance=1e-7)
    fidelity("attack", "ig_multi", what, found.x, best["images"] / 2 + 0.5, tolerance=1e-7)
    both, _ = adam(start, objective, STEPS, 1.0, thirds(STEPS), ("images", "logits"), boxed)
    assert both[-1] != pytest.approx(expected[-1], rel=1e-3)


@pytest.mark.parametrize("name", ["ig", "ig_updates"])
def test_the_truth_has_no_loss(name: str, observe: Observe, batch: Batch) -> None:
    seen = training(observe, batch) if name == "ig_updates" else one_gradient(observe, batch)
    attack = configured(name, total_variation=0.0)
    assert abs(float(attack.loss({"images": 2 * batch.x - 1}, seen, attack.prepare(seen)))) < 1e-14
