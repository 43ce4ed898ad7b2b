"""Clients: what they send is reproducible and paired, and an attacker sees no more than it is granted."""

import dataclasses
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from harness.attacks.matching import trial_update
from harness.config.composition import compose
from harness.core import Observation, UserError
from harness.runs.clients import Client, Clients


def clients(*overrides: str) -> Clients:
    return Clients(compose("logger=none", *overrides))


def same(one: Client, other: Client) -> bool:
    updates = one.problem.observation.update, other.problem.observation.update
    return all(torch.equal(updates[0][name], updates[1][name]) for name in updates[0])


def reachable(value: object, depth: int = 6) -> Iterator[Tensor]:
    """Every tensor that an attack could get at through an observation."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, nn.Module):
        yield from value.state_dict().values()
    elif depth and dataclasses.is_dataclass(value):
        for part in dataclasses.fields(value):
            yield from reachable(getattr(value, part.name), depth - 1)
    elif depth and isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from reachable(item, depth - 1)


@pytest.mark.parametrize("change", ["attack=dlg", "attack=ig", "scale=small", "knowledge.labels=true"])
def test_what_is_compared_sees_the_same_updates(change: str) -> None:
    defense = ("defense=noise", "seed=3")
    assert same(clients(*defense)[1], clients(*defense, change)[1])


def test_the_order_in_which_clients_are_made_is_of_no_consequence() -> None:
    one, other = clients("defense=noise"), clients("defense=noise")
    backwards = [other[position] for position in (2, 1, 0)][::-1]
    assert all(same(one[position], backwards[position]) for position in range(3))
    assert not same(one[0], one[1])


def test_an_observation_holds_neither_images_nor_labels() -> None:
    client = clients("fl.batch_size=3", "defense=noise", "attack=dlg")[0]
    observation = client.problem.observation
    assert {f.name for f in dataclasses.fields(Observation)} == {
        *("model", "params", "update", "protocol", "n", "shape", "classes"),
        *("knowledge", "trained_on", "statistics"),
    }
    assert observation.statistics is None  # this client sends none
    secrets = [*client.truth.x, client.truth.x, client.truth.y]
    for tensor in reachable(observation):
        assert not any(tensor.shape == secret.shape and torch.equal(tensor, secret) for secret in secrets)
    assert observation.knowledge.labels is None
    assert observation.knowledge.adaptations == ()


def test_a_known_defence_tells_its_kind_and_not_its_parameter() -> None:
    plain = clients("defense=clipping", "defense.bound=0.123")[0].problem.observation
    assert plain.knowledge.adaptations == ()
    told = clients("defense=clipping", "defense.bound=0.123", "knowledge.defense=true")[0].problem.observation
    (adaptation,) = told.knowledge.adaptations
    assert "0.123" not in repr(adaptation)
    assert float(next(iter(adaptation.estimate(told).values()))) == pytest.approx(0.123, rel=1e-4)


def test_labels_are_told_only_when_granted() -> None:
    client = clients("knowledge.labels=true", "fl.batch_size=2")[0]
    known = client.problem.observation.knowledge.labels
    assert known is not None
    assert torch.equal(known, client.truth.y)


def test_a_fresh_network_for_every_target_or_one_for_all() -> None:
    def weights(made: Clients, position: int) -> Tensor:
        return next(iter(made[position].problem.observation.params.values()))

    fresh, fixed = clients("model=lenet"), clients("model=lenet", "model.fresh=false")
    assert not torch.equal(weights(fresh, 0), weights(fresh, 1))
    assert torch.equal(weights(fixed, 0), weights(fixed, 1))
    assert fixed[1].problem.one_network
    assert not fresh[1].problem.one_network
    pinned = clients("model=lenet", "model.fresh=false", "model.seed=123", "seed=1")
    again = clients("model=lenet", "model.fresh=false", "model.seed=123", "seed=2")
    assert torch.equal(weights(pinned, 0), weights(again, 0))


def test_named_targets_are_attacked_in_that_order() -> None:
    made = clients("targets=[29,9]", "trials=2")
    assert [made[position].indices for position in range(made.trials)] == [[29], [9]]
    with pytest.raises(UserError, match="row 10 is not in the attack split"):
        clients("targets=[10]")


TWO_STEPS = (
    *("attack=dlg", "fl=fedavg", "fl.examples_per_client=4", "fl.batch_size=2"),
    *("model.fresh=false", "fl.lr=1.0"),
)


def test_the_secret_order_of_local_training_changes_the_update() -> None:
    client = clients(*TWO_STEPS)[0]
    observation = client.problem.observation
    unshuffled = observation.protocol.update(observation.model, observation.params, client.truth)
    assert any(not torch.allclose(unshuffled[name], observation.update[name]) for name in unshuffled)


def test_the_order_of_the_steps_is_told_only_when_granted() -> None:
    assert clients(*TWO_STEPS)[0].problem.observation.knowledge.order is None
    client = clients(*TWO_STEPS, "knowledge.order=true")[0]
    seen = client.problem.observation
    again = trial_update(client.truth, seen, {})
    assert all(torch.equal(again[name], seen.update[name]) for name in again)
    with pytest.raises(UserError, match=r"needs fl\.dummies=null"):
        clients(*TWO_STEPS, "knowledge.order=true", "fl.dummies=2")


def test_public_images_are_told_only_when_granted_and_are_none_of_the_clients() -> None:
    assert clients()[0].problem.observation.knowledge.public is None
    told = clients("knowledge.public=true")
    public = told[0].problem.observation.knowledge.public
    assert public is not None
    assert not set(public.indices) & set(told.images.indices)


def test_an_attack_may_look_for_fewer_images_than_the_client_holds() -> None:
    client = clients(
        "attack=dlg", "fl=fedavg", "fl.examples_per_client=4", "fl.dummies=2", "model.fresh=false"
    )[0]
    assert (client.problem.observation.n, client.problem.observation.examples) == (2, 4)
    assert len(client.truth) == 4


def test_distinct_targets_have_another_class_each() -> None:
    chosen = clients("attack=dlg", "order=distinct", "fl.batch_size=8", "trials=4")
    rows: list[int] = []
    for position in range(4):
        client = chosen[position]
        assert len(set(client.truth.y.tolist())) == 8
        rows += client.indices
    assert len(set(rows)) == 32
    with pytest.raises(UserError, match="has not 11 different classes"):
        clients("attack=dlg", "order=distinct", "fl.batch_size=11", "trials=1")
