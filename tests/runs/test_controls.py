"""What an attacker is handed in place of an update, how it takes clients to train, and batches of equal labels."""

from pathlib import Path

import pytest
import torch

from harness.attacks.inverting import InvertingGradients
from harness.base.threat import Need, needs, told
from harness.config import compose
from harness.core import Batch, UserError
from harness.federated.fedavg import FedAvg
from harness.runs.clients import Clients, open_targets
from harness.runs.run import run
from harness.runs.targets import length

GIVEN = ("attack=ig", "model=lenet", "model.fresh=false", "knowledge.labels=true", "logger=none", "trials=2")
TRAINS = ("fl=fedavg", "fl.examples_per_client=4", "fl.batch_size=2", "fl.local_epochs=2", "fl.lr=0.01")


def clients(*changes: str) -> Clients:
    found = open_targets(compose(*GIVEN, *changes))
    assert isinstance(found, Clients)
    return found


def test_the_negative_and_noise_are_as_long_as_the_update() -> None:
    own, negative, noise = (
        clients("fl.batch_size=2", f"control={each}").client(1).problem.observation.update
        for each in ("none", "negative", "noise")
    )
    assert all(torch.equal(negative[name], -value) for name, value in own.items())
    assert length(noise) == pytest.approx(length(own), rel=1e-5)
    inner = sum(float((value * noise[name]).sum()) for name, value in own.items())
    assert abs(inner) < 0.05 * length(own) ** 2


def test_another_clients_update_is_that_of_images_not_attacked() -> None:
    own, other = (clients(f"control={each}").client(0) for each in ("none", "other"))
    assert torch.equal(own.truth.x, other.truth.x)
    assert own.norm == other.norm
    handed, seen = other.problem.observation.update, own.problem.observation
    images = open_targets(compose(*GIVEN)).images  # type: ignore[attr-defined]
    behind = [
        images.indices[place]
        for place, (x, y) in enumerate(images)
        for found in [seen.protocol.update(seen.model, seen.params, Batch(x[None], torch.tensor([y])))]
        if all(torch.allclose(found[name], value, atol=1e-7) for name, value in handed.items())
    ]
    assert len(behind) == 1
    assert behind != own.indices


def test_the_attacker_simulates_what_it_believes() -> None:
    """Under the client's own steps its images give its update, and under others they don't."""
    for believed, same in (("2", True), ("3", False)):
        guess = ("fl@knowledge.protocol=fedavg", f"knowledge.protocol.local_epochs={believed}")
        client = clients(*TRAINS, "fl.batch_size=4", *guess, "knowledge.protocol.lr=0.01").client(0)
        seen = client.problem.observation
        trial = seen.protocol.update(seen.model, seen.params, client.truth)
        near = [
            torch.allclose(trial[name], value, rtol=1e-3, atol=1e-7) for name, value in seen.update.items()
        ]
        assert all(near) is same


def test_a_believed_protocol_is_what_an_attack_sees(tmp_path: Path) -> None:
    guess = (
        "fl@knowledge.protocol=fedavg",
        "knowledge.protocol.local_epochs=3",
        "knowledge.protocol.lr=0.001",
    )
    seen = clients(*TRAINS, *guess).client(0).problem.observation
    assert isinstance(seen.protocol, FedAvg)
    assert (seen.protocol.local_epochs, seen.protocol.lr) == (3, 0.001)
    experiment = compose(*GIVEN, *TRAINS, *guess, "attack.steps=2", "trials=1", f"paths.runs={tmp_path}")
    assert len(run(experiment).rows) == 4
    assert Need.GUESS in needs(experiment.config)
    assert "a guess of how clients train" in told(experiment.config)
    assert "guess" not in told(compose(*GIVEN, *TRAINS).config)


def test_no_simulation_with_the_wrong_sign_is_as_far_as_can_be() -> None:
    """Guo et al. 2025, Table III's last column: the negative of one step's update, at the client's own images."""
    for control, expected in (("none", 0.0), ("negative", 2.0)):
        one = ("fl=fedavg", "fl.examples_per_client=4", "fl.batch_size=4", "fl@knowledge.protocol=fedsgd")
        targets = clients(*one, f"control={control}")
        client = targets.client(0)
        seen, attack = client.problem.observation, targets.experiment.attack
        assert isinstance(attack, InvertingGradients)
        images = {"images": seen.model.normalize(client.truth.x)}
        assert float(attack.mismatch(images, seen, attack.prepare(seen))) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("alike", [1, 2, 3, 4])
def test_so_many_images_of_an_update_are_alike(alike: int) -> None:
    targets = clients("fl.batch_size=4", f"alike={alike}", "trials=3")
    for place in range(3):
        truth: Batch = targets.client(place).truth
        counts = truth.y.bincount().sort(descending=True).values
        assert counts[0] == alike
        assert counts[1] <= 1
        assert torch.equal(
            truth.x[0], clients("fl.batch_size=4", "alike=1", "trials=3").client(place).truth.x[0]
        )


def test_what_can_not_be_is_said_in_a_line() -> None:
    for changes, words in (
        (("alike=3", "fl.batch_size=2"), "there are 2 images behind an update"),
        (("alike=1", "order=distinct"), "say order=random"),
        (("alike=40", "fl.batch_size=40"), "no 40 more images of one class"),
        (("control=other", "fl=fedavg", "fl.clients=3"), r"say fl\.dummies=NUMBER"),
        (
            ("control=other", "fl=fedavg", "fl.clients=1", "fl.dummies=1", "knowledge.labels=false"),
            "in round 1 no other client",
        ),
        (
            ("control=noise", "attack=none", "fl=fedavg", "fl.clients=3", "knowledge.labels=false"),
            "reads no client's update",
        ),
        (("control=noise", "model=resnet18", "fl.normalization=statistics"), "hands on the client's own"),
        ((*TRAINS, "fl@knowledge.protocol=fedsgd", "knowledge.order=true"), "say knowledge.protocol=null"),
    ):
        with pytest.raises(UserError, match=words):
            open_targets(compose(*GIVEN, *changes))
