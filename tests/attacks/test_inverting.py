"""Inverting gradients on the updates of clients that train for several steps."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.attacks.inverting import InvertingGradients
from harness.attacks.solvers.adam import Adam
from harness.core import Batch, Classifier, Knowledge, Observation, Problem, UserError
from harness.federated.fedavg import FedAvg
from harness.labels.idlg import IDLG
from tests.conftest import CLASSES, SHAPE, Observe


def attack(**options: Any) -> InvertingGradients:
    return InvertingGradients(
        **{"steps": 1, "optimizer": Adam(lr=0.1, signed=True), "labels": IDLG(), "total_variation": 0.0}
        | options
    )


def local(**options: Any) -> FedAvg:
    return FedAvg(**{"examples_per_client": 3, "batch_size": 2, "local_epochs": 2, "lr": 0.3} | options)


def mismatch(search: InvertingGradients, observation: Observation, **variables: Tensor) -> float:
    return float(search.mismatch(variables, observation, search.prepare(observation)))


def test_the_unrolled_update_of_the_truth_matches_exactly(
    observe: Observe, batch: Batch, classifier: Classifier
) -> None:
    observation = observe(batch, local(), Knowledge(labels=batch.y))
    images = classifier.normalize(batch.x)
    assert abs(mismatch(attack(), observation, images=images)) < 1e-14
    assert mismatch(attack(distance="l2"), observation, images=images) < 1e-20
    assert mismatch(attack(full_batch=True), observation, images=images) > 1e-6


def test_full_batches_are_what_zhu_et_al_unroll(
    observe: Observe, batch: Batch, classifier: Classifier
) -> None:
    """One step an epoch on all dummies: right for a client whose batch is all that it holds."""
    observation = observe(batch, local(batch_size=3), Knowledge(labels=batch.y))
    observation = replace(observation, protocol=local(batch_size=2))
    images = classifier.normalize(batch.x)
    assert mismatch(attack(full_batch=True, distance="l2"), observation, images=images) < 1e-20
    assert mismatch(attack(distance="l2"), observation, images=images) > 1e-9


def test_soft_labels_need_no_rule_and_are_decoded(
    observe: Observe, batch: Batch, classifier: Classifier
) -> None:
    observation = observe(batch, local())
    with pytest.raises(UserError):
        attack().prepare(observation)  # labels=idlg reads a single label
    search = attack(soft_labels=True)
    start = search.initial(observation, torch.Generator().manual_seed(0))
    assert start["logits"].shape == (3, CLASSES)
    logits = torch.full((3, CLASSES), -40.0, dtype=torch.float64)
    logits[torch.arange(3), batch.y] = 40.0
    assert abs(mismatch(search, observation, images=classifier.normalize(batch.x), logits=logits)) < 1e-12
    decoded = search.decode({"images": classifier.normalize(batch.x), "logits": logits}, observation, {})
    assert decoded.y.tolist() == batch.y.tolist()


def test_boxing_leaves_the_labels_alone(observe: Observe, batch: Batch) -> None:
    observation = observe(batch, local())
    far = {"images": torch.full((3, *SHAPE), 9.0), "logits": torch.full((3, CLASSES), 9.0)}
    found = attack(soft_labels=True).project(far, observation)
    assert float(found["images"].max()) == 1
    assert float(found["logits"].max()) == 9


def test_soft_labels_are_searched_for(observe: Observe, batch: Batch) -> None:
    observation = observe(batch, local(batch_size=3))
    (found,) = attack(soft_labels=True, steps=60)([Problem(0, observation, seed=0)])
    assert found.loss < 0.5 * found.trace[0]["loss"]
