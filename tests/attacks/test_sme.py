"""SME in the engine: its surrogate stays between the client's weights, and slots do not see each other."""

from dataclasses import replace

import pytest
import torch

from harness.attacks.sme import PLACE, SurrogateModelExtension
from harness.attacks.solvers.adam import Adam
from harness.core import Batch, Knowledge, Observation, Problem
from harness.federated.fedavg import FedAvg
from harness.labels.automatic import Automatic
from tests.conftest import Observe

SME = SurrogateModelExtension(labels=Automatic(), optimizer=Adam(lr=1.0, schedule="step"), steps=40)


def seen(observe: Observe, batch: Batch, steps: int = 4) -> Observation:
    protocol = FedAvg(examples_per_client=3, batch_size=3, local_epochs=steps, lr=0.5)
    return observe(batch, protocol, Knowledge(labels=batch.y))


def test_alpha_is_boxed(observe: Observe, batch: Batch) -> None:
    outside = {"images": torch.full((3, 1, 8, 8), 4.0), PLACE: torch.tensor([-3.0])}
    inside = SME.project(outside, seen(observe, batch))
    assert (float(inside[PLACE]), float(inside["images"].max())) == (0.0, 1.0)
    assert float(SME.project({**outside, PLACE: torch.tensor([2e3])}, seen(observe, batch))[PLACE]) == 1000.0


@pytest.mark.parametrize("slots", [2, 3])
def test_slots_find_what_one_alone_does(observe: Observe, batch: Batch, slots: int) -> None:
    problems = [Problem(place, seen(observe, batch, steps=4), place) for place in range(2)]
    alone = list(replace(SME, engine="loop")(problems))
    together = list(replace(SME, engine="vmap", slots=slots)(problems))
    for one, other in zip(alone, together, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-6)


def test_the_client_is_never_simulated(
    observe: Observe, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = seen(observe, batch, steps=50)
    monkeypatch.delattr(FedAvg, "compute")
    (found,) = SME([Problem(0, long, 0)])
    assert found.status == "budget"
