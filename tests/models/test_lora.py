"""LoRA as clients, attacks, defences and servers meet it: what is trained is what is a parameter."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness.config.composition import compose
from harness.config.experiment import Experiment
from harness.core import UserError
from harness.runs.clients import open_targets
from harness.runs.run import run

Compose = Callable[..., Experiment]


@pytest.fixture
def composed(tmp_path: Path) -> Compose:
    def make(*changes: str) -> Experiment:
        given = ("adapter=lora", "model=mlp", "model.hidden=12", "attack=ig", "trials=1", "logger=none")
        own = ("knowledge.labels=true", "scale=smoke", f"paths.runs={tmp_path}")
        return compose(*given, *own, *changes)

    return make


def test_an_update_holds_what_is_trained_and_nothing_else(composed: Compose) -> None:
    observation = open_targets(composed("defense=noise")).client(0).problem.observation
    assert set(observation.update) == set(observation.params) == {"network.1.down", "network.1.up"}
    assert observation.update["network.1.down"].any(), "the defence's noise is on all that is sent"
    with_head = open_targets(composed("adapter.head=true")).client(0).problem.observation
    assert set(with_head.update) == set(observation.update) | {"network.3.weight", "network.3.bias"}


def test_the_frozen_weights_are_those_without_an_adapter(composed: Compose) -> None:
    adapted, plain = (open_targets(composed(f"adapter={name}")).fixed_model for name in ("lora", "none"))
    frozen, whole = dict(adapted.named_buffers()), dict(plain.named_parameters())
    assert torch.equal(frozen["network.1.frozen.weight"], whole["network.1.weight"])
    assert torch.equal(frozen["network.3.bias"], whole["network.3.bias"])
    x = torch.rand(2, *composed().dataset.shape)
    torch.testing.assert_close(adapted(x), plain(x))
    again = open_targets(composed()).fixed_model
    assert all(torch.equal(a, b) for a, b in zip(adapted.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize(
    "changes", [(), ("fl=fedavg", "fl.local_epochs=2"), ("adapter.head=true", "knowledge.labels=false")]
)
def test_runs_end_to_end(changes: tuple[str, ...], composed: Compose) -> None:
    rows = run(composed("adapter.up=0.1", *changes)).rows
    assert {row["status"] for row in rows} == {"budget"}


def test_clients_train_it_in_rounds(composed: Compose) -> None:
    rounds = ("fl=fedavg", "fl.clients=3", "fl.batch_size=50", "attack=none", "adapter.layers=[network.1]")
    assert run(composed(*rounds)).rows


def test_a_vision_transformer_is_adapted_in_its_attention(composed: Compose) -> None:
    small = ("model=vit_tiny", "model.width=12", "model.heads=1", "model.depth=2", "model.hidden=8")
    experiment = composed(*small, "adapter.layers=['*.qkv']", "adapter.rank=2")
    update = open_targets(experiment).client(0).problem.observation.update
    assert len(update) == 4
    assert all("qkv" in name for name in update)


def test_it_is_part_of_the_id_and_its_absence_is_not(composed: Compose) -> None:
    assert compose().id == compose("adapter=none").id
    assert len({composed(change).id for change in ("adapter=none", "adapter.rank=4", "adapter.rank=2")}) == 3


def test_what_can_not_be_is_said_in_a_line(composed: Compose) -> None:
    with pytest.raises(
        UserError, match=r"network.2 is no linear layer but the head; did you mean 'network.1'"
    ):
        open_targets(composed("adapter.layers=[network.2]")).client(0)
    with pytest.raises(UserError, match=r"clients don't train the head, network.3: say adapter.head=true"):
        run(composed("knowledge.labels=false"))
    with pytest.raises(UserError, match=r"clients don't train the head"):
        run(composed("defense=soteria"))
