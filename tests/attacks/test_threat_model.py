"""An attack sees the update alone: the client's labels and its order are secret unless they are granted."""

import pytest
import torch

from harness.config.composition import compose
from harness.config.experiment import Experiment
from harness.core import Reconstruction
from harness.runs.clients import Clients

ATTACKS = {
    "dlg": ["attack=dlg"],
    "ig": ["attack=ig", "labels@attack.labels=llg"],
    "ig_multi": ["attack=ig_multi"],
    "dlf": ["attack=dlf"],
    "rtf": ["attack=rtf", "model=imprint_mlp"],
}


def experiment(name: str, *overrides: str) -> Experiment:
    client = ["fl=fedavg", "fl.examples_per_client=4", "fl.batch_size=2", "fl.local_epochs=2", "fl.lr=0.01"]
    common = ["dataset=digits32", "model=mlp", "scale=smoke", "logger=none", "trials=1"]
    return compose(*common, *client, *ATTACKS[name], *overrides)


def invert(given: Experiment, secret: int | None) -> Reconstruction:
    """Attack a client; `secret`: scramble all that the client knows, once its update is sent."""
    client = Clients(given).client(0)
    if secret is not None:
        rng = torch.Generator().manual_seed(secret)
        client.truth.y.copy_(torch.randint(10, client.truth.y.shape, generator=rng))
        client.truth.x.copy_(torch.rand(client.truth.x.shape, generator=rng))
    (found,) = given.attack([client.problem])
    return found


@pytest.mark.parametrize("name", ATTACKS)
def test_a_result_depends_on_the_update_and_on_no_secret(name: str) -> None:
    given = experiment(name)
    knowledge = Clients(given).client(0).problem.observation.knowledge
    assert knowledge.labels is None
    assert knowledge.order is None
    assert knowledge.public is None
    one, other = invert(given, secret=None), invert(given, secret=7)
    assert torch.equal(one.x, other.x)
    assert torch.equal(one.y, other.y)


@pytest.mark.parametrize("name", ["ig", "dlf"])
def test_what_is_granted_is_used(name: str) -> None:
    """So that the test above can fail."""
    plain = invert(experiment(name), secret=None)
    labels = invert(experiment(name, "knowledge.labels=true"), secret=None)
    order = invert(experiment(name, "knowledge.labels=true", "knowledge.order=true"), secret=None)
    assert not torch.equal(labels.x, order.x)
    assert not torch.equal(plain.x, order.x)
