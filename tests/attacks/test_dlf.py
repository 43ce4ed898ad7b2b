"""DLF: what its loss is at the truth, what its prior does not see, and what it recovers beside IG."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from harness.attacks.dlf import DLF, excess, layered_distance, order_distance, squared_variation
from harness.attacks.solvers.adam import Adam
from harness.core import Batch, Classifier, Knowledge, Observation, generator
from harness.federated.fedavg import FedAvg
from harness.labels.llg import LLG
from tests.conftest import CLASSES, SHAPE

IMAGES = 6


def attack(**options: Any) -> DLF:
    return DLF(**{"steps": 1, "optimizer": Adam(lr=0.1), "labels": LLG(), "channels": 8} | options)


@pytest.fixture
def truth() -> Batch:
    rng = torch.Generator().manual_seed(6)
    images = torch.rand(IMAGES, *SHAPE, generator=rng, dtype=torch.float64)
    return Batch(images, torch.randint(CLASSES, (IMAGES,), generator=rng))


def observe(
    model: Classifier, truth: Batch, order_known: bool = True, **protocol: Any
) -> tuple[Observation, Sequence[Tensor]]:
    """What the server sees of a client that trains in a secret order, and that order."""
    local: dict[str, Any] = {"examples_per_client": IMAGES, "batch_size": 2, "local_epochs": 3, "lr": 0.2}
    client = FedAvg(**local | protocol)
    params = dict(model.named_parameters())
    order = client.order(generator("secret"))
    seen = Observation(
        model=model,
        params=params,
        update=client.update(model, params, truth, order),
        protocol=client,
        n=IMAGES,
        trained_on=IMAGES,
        shape=SHAPE,
        classes=CLASSES,
        knowledge=Knowledge(labels=truth.y, order=order if order_known else None),
    )
    return seen, order


@pytest.mark.parametrize("scaling", ["raw", "per_step", "per_lr"])
def test_the_truth_in_the_true_order_matches_exactly(
    classifier: Classifier, truth: Batch, scaling: str
) -> None:
    observation, _ = observe(classifier, truth, scaling=scaling)
    images = classifier.normalize(truth.x).repeat(3, 1, 1, 1)
    search = attack(total_variation=0)
    known = search.prepare(observation)
    assert float(search.mismatch(images, observation, known)) < 1e-20
    variables = {"images": images, "step": torch.zeros(1)}
    assert float(search.loss(variables, observation, known)) < 1e-20  # nor do clip and prior object
    assert float(search.mismatch(images + 0.1, observation, known)) > 1e-5


def test_one_set_in_all_epochs_matches_where_the_order_is_its_own(
    classifier: Classifier, truth: Batch
) -> None:
    observation, _ = observe(classifier, truth)
    update = observation.protocol.update(classifier, observation.params, truth)
    epochs = [step for epoch in observation.protocol.epochs(IMAGES) for step in epoch]
    observation = replace(observation, update=update, knowledge=Knowledge(labels=truth.y, order=epochs))
    images = classifier.normalize(truth.x)
    search = attack(epochs="shared")
    assert float(search.mismatch(images, observation, search.prepare(observation))) < 1e-20
    assert search.initial(observation, generator("start"))["images"].shape == (IMAGES, *SHAPE)


def test_without_simulation_many_steps_are_taken_for_one_gradient(
    classifier: Classifier, truth: Batch
) -> None:
    observation, _ = observe(classifier, truth, batch_size=IMAGES, local_epochs=3, lr=1e-9)
    images, search = classifier.normalize(truth.x), attack(epochs="none")
    still = float(search.mismatch(images, observation, search.prepare(observation)))
    observation, _ = observe(classifier, truth, batch_size=IMAGES, local_epochs=3, lr=0.5)
    moved = float(search.mismatch(images, observation, search.prepare(observation)))
    assert still < 1e-10 < 1e-5 < moved


def test_the_scaling_of_the_update_does_not_change_the_loss(classifier: Classifier, truth: Batch) -> None:
    images = classifier.normalize(truth.x).repeat(3, 1, 1, 1) + 0.2
    losses = []
    for scaling in ("raw", "per_step", "per_lr"):
        observation, _ = observe(classifier, truth, scaling=scaling)
        search = attack()
        losses.append(float(search.mismatch(images, observation, search.prepare(observation))))
    assert losses[1:] == pytest.approx(losses[:1] * 2, rel=1e-12)


def test_the_order_is_used_only_where_it_is_known(classifier: Classifier, truth: Batch) -> None:
    observation, _ = observe(classifier, truth, order_known=False)
    images = classifier.normalize(truth.x).repeat(3, 1, 1, 1)
    search = attack()
    assert float(search.mismatch(images, observation, search.prepare(observation))) > 1e-6


def sets_of(seed: int, epochs: int = 3) -> Tensor:
    return torch.randn(epochs, 4, 1, 6, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


FILTERS = torch.randn(5, 1, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@given(st.permutations(range(4)), st.integers(0, 2), st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_the_prior_does_not_see_the_order_in_an_epoch(order: list[int], epoch: int, seed: int) -> None:
    sets = sets_of(seed)
    shuffled = sets.clone()
    shuffled[epoch] = sets[epoch][order]
    torch.testing.assert_close(order_distance(shuffled, FILTERS), order_distance(sets, FILTERS))
    same = sets[:1].repeat(3, 1, 1, 1, 1)
    same[epoch] = same[epoch][order]
    assert float(order_distance(same, FILTERS)) < 1e-20


def test_the_prior_is_the_mean_over_pairs_of_epochs() -> None:
    sets = sets_of(1, epochs=4)
    largest = [F.conv2d(each, FILTERS, padding=1).amax(0) for each in sets]
    for distinct, among in ((True, combinations(largest, 2)), (False, product(largest, repeat=2))):
        pairs = [(one - other).square().mean() for one, other in among]
        torch.testing.assert_close(order_distance(sets, FILTERS, distinct), torch.stack(pairs).mean())
    assert float(order_distance(sets[:1], FILTERS)) == 0


def test_the_parts_of_the_loss_are_the_papers() -> None:
    ones = {"a.weight": torch.ones(3), "a.bias": torch.ones(1), "b.weight": torch.ones(2)}
    zeros = {name: 0 * value for name, value in ones.items()}
    assert float(layered_distance(ones, zeros)) == pytest.approx(4 + 2 / torch.e)
    image = torch.zeros(2, 1, 2, 3)
    image[0, 0, 0, 0] = 2.0
    # Across, two differences of 2; down, a neighbour below and the same one above: two more. Over two images.
    assert float(squared_variation(image)) == 4 * 4 / 2
    assert float(excess(image)) == 1 / 2


def test_the_weight_falls_geometrically_and_then_stays(classifier: Classifier, truth: Batch) -> None:
    observation, _ = observe(classifier, truth)
    search = attack(total_variation=0, clip=0, order_prior=0, fading=100)
    known = search.prepare(observation)
    images = search.initial(observation, generator("start"))["images"].double()
    plain = float(search.mismatch(images, observation, known))
    variables = {"images": images, "step": torch.zeros(1)}
    weights = []
    for _ in range(151):
        weights.append(float(search.loss(variables, observation, known)) / plain)
        variables = search.project(variables, observation)
    assert [weights[at] for at in (0, 49, 99, 150)] == pytest.approx([4 * 0.5**0.01, 8**0.5, 2, 2], rel=1e-6)


def test_epochs_are_matched_and_averaged(classifier: Classifier, truth: Batch) -> None:
    observation, _ = observe(classifier, truth)
    noise = 0.02 * torch.randn(3, *truth.x.shape, generator=torch.Generator().manual_seed(8)).double()
    shuffles = [torch.randperm(IMAGES, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    epochs = torch.stack([truth.x, *(truth.x[order] for order in shuffles)])
    for place, order in enumerate([torch.arange(IMAGES), *shuffles]):
        epochs[place] += noise[place][order]
    search = attack()
    variables = {"images": classifier.normalize(epochs.flatten(0, 1))}
    found = search.decode(variables, observation, search.prepare(observation))
    torch.testing.assert_close(found.x, truth.x + noise.mean(0))


def test_labels_without_an_order_are_mixed_for_the_batches(classifier: Classifier, truth: Batch) -> None:
    observation, _ = observe(classifier, truth, order_known=False)
    ascending = replace(observation, knowledge=Knowledge(labels=truth.y.sort().values))
    labels = attack().prepare(ascending)["labels"]
    assert labels.tolist() != sorted(labels.tolist())
    assert sorted(labels.tolist()) == sorted(truth.y.tolist())
