"""DLF's objective, its schedules and its loop, as in eth-sri/fedavg_leakage (43c7c7c)."""

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from harness.attacks.dlf import DLF, excess, order_distance, squared_variation
from harness.core import Batch, Classifier, Knowledge, Observation, Params
from harness.federated.fedavg import FedAvg
from tests.conftest import CLASSES, SHAPE
from tests.fidelity.attacks.statements import Points, adam, configured, searched, slope
from tests.fidelity.conftest import Fidelity

IMAGES, BATCH, RATE = 6, 2, 0.3
WHAT = "(Dimitrov et al. 2022, section 4; code)"


def client(classifier: Classifier, epochs: int) -> Observation:
    """A client whose update the attacker gets divided by the rate, as the authors' does."""
    draw = torch.Generator().manual_seed(5)
    truth = Batch(
        torch.rand(IMAGES, *SHAPE, generator=draw, dtype=torch.float64),
        torch.randint(CLASSES, (IMAGES,), generator=draw),
    )
    protocol = FedAvg(
        examples_per_client=IMAGES, batch_size=BATCH, local_epochs=epochs, lr=RATE, scaling="per_lr"
    )
    params = {name: value.detach() for name, value in classifier.named_parameters()}
    return Observation(
        model=classifier,
        params=params,
        update=protocol.update(classifier, params, truth, protocol.order(torch.Generator().manual_seed(9))),
        protocol=protocol,
        n=IMAGES,
        shape=SHAPE,
        classes=CLASSES,
        knowledge=Knowledge(labels=truth.y),
    )


def dummies(epochs: int) -> Tensor:
    return torch.randn(
        epochs * IMAGES, *SHAPE, generator=torch.Generator().manual_seed(3), dtype=torch.float64
    )


def unrolled(seen: Observation, u: Tensor, labels: Tensor, epochs: int) -> Points:
    """(theta_0 - theta_T) / rate of plain SGD: epoch after epoch over dummies of its own, batch after batch."""
    weights = dict(seen.params)
    for step in range(epochs * IMAGES // BATCH):
        these = slice(step * BATCH, (step + 1) * BATCH)
        place = [index % IMAGES for index in range(step * BATCH, (step + 1) * BATCH)]
        found = slope(weights, u[these], labels[place])
        weights = {name: weights[name] - RATE * found[name] for name in weights}
    return {name: (seen.params[name] - weights[name]) / RATE for name in weights}


def matching(seen: Observation, u: Tensor, labels: Tensor, epochs: int) -> Tensor:
    """By layers, e^-l; over the batches of all epochs."""
    trial = unrolled(seen, u, labels, epochs)
    total = torch.zeros((), dtype=torch.float64)
    for place, layer in enumerate(("network.0", "network.3", "network.5")):
        for part in ("weight", "bias"):
            apart = trial[f"{layer}.{part}"] - seen.update[f"{layer}.{part}"]
            total = total + torch.e**-place * (apart**2).sum()
    return total / (epochs * (IMAGES // BATCH))


def order_prior(u: Tensor, filters: Tensor, epochs: int) -> Tensor:
    """l2_max_conv: over all E^2 ordered pairs of epochs."""
    largest = [F.conv2d(each, filters, padding=1).max(0).values for each in u.split(len(u) // epochs)]
    pairs = [((one - other) ** 2).mean() for one in largest for other in largest]
    return torch.stack(pairs).mean()


def wrapped_variation(u: Tensor) -> Tensor:
    across, down = (
        u - torch.cat([u[..., -1:], u[..., :-1]], 3),
        u - torch.cat([u[..., -1:, :], u[..., :-1, :]], 2),
    )
    return (across**2 + down**2).sum((1, 2, 3)).mean()


def clip(u: Tensor) -> Tensor:
    x = u / 2 + 0.5
    return ((x - x.clamp(0, 1)) ** 2).mean(0).sum()


def factor(step: int) -> float:
    """The authors multiply before they use it."""
    return max(4 * 0.5 ** ((step + 1) / 200), 2)


def prepared(attack: DLF, seen: Observation) -> Params:
    return attack.prepare(seen)


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_each_of_the_four_terms(epochs: int, classifier: Classifier, fidelity: Fidelity) -> None:
    seen, u, attack = client(classifier, epochs), dummies(epochs), configured("dlf")
    known = prepared(attack, seen)
    sets = u.unflatten(0, (epochs, IMAGES))
    for what, ours, theirs in (
        (
            "matching: sum_l e^-l ||g'_l - g_l||^2 / (E k), k batches an epoch",
            attack.mismatch(u, seen, known),
            matching(seen, u, known["labels"], epochs),
        ),
        (
            "order prior: over all E^2 ordered pairs of epochs",
            order_distance(sets, known["filters"]),
            order_prior(u, known["filters"], epochs),
        ),
        ("total variation: squared, periodic, mean over images", squared_variation(u), wrapped_variation(u)),
        ("clip: squared distance from [0, 1], mean over images", excess(u / 2 + 0.5), clip(u)),
    ):
        fidelity("attack", "dlf", f"{what} {WHAT}", ours, theirs)


@pytest.mark.parametrize("epochs", [1, 2, 3])
@pytest.mark.parametrize("step", [0, 1, 100, 198, 199, 300])
def test_the_loss_is_their_weighted_sum(
    epochs: int, step: int, classifier: Classifier, fidelity: Fidelity
) -> None:
    seen, u, attack = client(classifier, epochs), dummies(epochs), configured("dlf")
    known = prepared(attack, seen)
    at = {"images": u, "step": torch.tensor([float(step)], dtype=torch.float64)}
    expected = objective(seen, known, epochs)({"images": u}, step)
    what = "f_t matching + 2e-4 TV + 10 clip + 6.075 prior, f_t from 4 to 2 in 200 steps, of E = 1, 2, 3"
    fidelity("attack", "dlf", f"{what} {WHAT}", attack.loss(at, seen, known), expected)


def objective(seen: Observation, known: Params, epochs: int) -> Any:
    def loss(points: Points, step: int) -> Tensor:
        u = points["images"]
        return (
            factor(step) * matching(seen, u, known["labels"], epochs)
            + 2e-4 * wrapped_variation(u)
            + 10 * clip(u)
            + 6.075 * order_prior(u, known["filters"], epochs)
        )

    return loss


def test_sixty_steps_are_the_authors(classifier: Classifier, fidelity: Fidelity) -> None:
    """Their Adam, whose rate decays at every step; in the end the epochs are paired by PSNR and averaged."""
    epochs, seen, attack = 2, client(classifier, 2), configured("dlf")
    losses, found, start = searched(attack, seen, 60)
    known = prepared(attack, seen)
    expected, best = adam(
        {"images": start["images"]}, objective(seen, known, epochs), 60, 0.1, lambda t: 0.997 ** (t / 20)
    )
    what = "60 iterates: f_t before its use, the rate .1 x .997^(t/20)"
    fidelity("attack", "dlf", f"{what} {WHAT}", losses, expected, tolerance=1e-7)
    first, second = (best["images"] / 2 + 0.5).split(IMAGES)
    paired = max(permutations(range(IMAGES)), key=lambda order: psnr(first, second[list(order)]))
    what = "the epochs paired by their PSNR to the first, and averaged"
    fidelity(
        "attack",
        "dlf",
        f"{what} {WHAT}",
        found.x,
        ((first + second[list(paired)]) / 2).clamp(0, 1),
        tolerance=1e-7,
    )


def psnr(ours: Tensor, theirs: Tensor) -> float:
    return float((-10 * ((ours - theirs) ** 2).mean((1, 2, 3)).log10()).sum())


def test_the_heavier_weights_are_options_yet(classifier: Classifier) -> None:
    """Matching over the batches of one epoch, the prior over distinct pairs: 3 and 1.5 times as much at E = 3."""
    seen, u, attack = client(classifier, 3), dummies(3), configured("dlf")
    known, sets = prepared(attack, seen), u.unflatten(0, (3, IMAGES))
    heavier = replace(attack, batches="epoch")
    ratio = float(heavier.mismatch(u, seen, known) / attack.mismatch(u, seen, known))
    assert ratio == pytest.approx(3, rel=1e-12)
    ratio = float(
        order_distance(sets, known["filters"], distinct=True) / order_distance(sets, known["filters"])
    )
    assert ratio == pytest.approx(1.5, rel=1e-12)
    losses = {}
    for pairs in ("all", "distinct"):
        at = {"images": u, "step": torch.zeros(1, dtype=torch.float64)}
        losses[pairs] = float(replace(attack, pairs=pairs).loss(at, seen, known))
    assert losses["distinct"] - losses["all"] == pytest.approx(
        0.5 * 6.075 * float(order_distance(sets, known["filters"])), rel=1e-9
    )


@pytest.mark.parametrize("epochs", ["separate", "shared"])
def test_the_truth_has_no_loss(epochs: str, classifier: Classifier) -> None:
    seen = client(classifier, 1)
    draw = torch.Generator().manual_seed(5)
    truth = Batch(torch.rand(IMAGES, *SHAPE, generator=draw, dtype=torch.float64), seen.knowledge.labels)
    order = seen.protocol.order(torch.Generator().manual_seed(9))
    seen = replace(seen, knowledge=replace(seen.knowledge, order=order))
    attack = configured("dlf", total_variation=0.0, epochs=epochs)
    at = {"images": 2 * truth.x - 1, "step": torch.zeros(1, dtype=torch.float64)}
    assert float(attack.loss(at, seen, prepared(attack, seen))) < 1e-20
