"""What a Flower app sends is recorded at the client and at the server alike, and audited.

Runs where flwr is installed: an environment of its own, by constraints-flower.txt.
"""

import json
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch.nn import functional as F

from harness.commands.audit import main
from tests.audit.clients import RECIPE, Dense, images

pytest.importorskip("flwr")
pytestmark = pytest.mark.slow

NODES = (3, 4)


class Grid:
    """The part of a grid that a strategy asks who is there."""

    def get_node_ids(self) -> list[int]:
        return [*NODES]


@pytest.fixture
def _in_a_run() -> None:
    """Flower makes messages in a run only, and knows it by this."""
    from flwr.supercore.task_identity import TaskIdentity

    identity: Any = TaskIdentity
    identity.task_id, identity.run_id, identity.node_id = 1, 7, 1


def app(folder: Path) -> Any:
    """Flower's PyTorch quickstart in miniature."""
    from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp

    from harness.audit.flower import record_updates

    made: Any = ClientApp(mods=[record_updates(folder)])

    @made.train()
    def train(message: Message, context: Context) -> Message:
        model = Dense()
        content: Any = message.content
        model.load_state_dict(content["arrays"].to_torch_state_dict())
        x, y = images(4)
        optimizer = torch.optim.SGD(model.parameters(), content["config"]["lr"])
        F.cross_entropy(model((x - 0.5) / 0.5), y).backward()
        optimizer.step()
        records = {
            "arrays": ArrayRecord(model.state_dict()),
            "metrics": MetricRecord({"train_loss": 1.0, "num-examples": 4}),
        }
        return Message(content=RecordDict(records), reply_to=message)

    return made


@pytest.mark.usefixtures("_in_a_run")
def test_both_ends_record_the_same_update(tmp_path: Path) -> None:
    from flwr.app import ArrayRecord, ConfigRecord, Context, RecordDict
    from flwr.serverapp.strategy import FedAvg

    from harness.audit.flower import recorded

    torch.manual_seed(0)
    grid: Any = Grid()
    strategy = recorded(FedAvg(fraction_train=1.0), tmp_path / "server")
    arrays = ArrayRecord(Dense().state_dict())
    sent = strategy.configure_train(1, arrays, ConfigRecord({"lr": 0.1}), grid)
    client = app(tmp_path / "client")
    replies = []
    for message in sent:
        node = message.metadata.dst_node_id
        context = Context(run_id=7, node_id=node, node_config={}, state=RecordDict(), run_config={})
        replies.append(client(message, context))
    averaged, _ = strategy.aggregate_train(1, replies)
    assert averaged is not None

    names = {f"run7_round1_node{node}.npz" for node in NODES}
    for end in ("client", "server"):
        assert {path.name for path in (tmp_path / end).iterdir()} == names
    path = tmp_path / "client" / "run7_round1_node3.npz"
    with numpy.load(path) as one, numpy.load(tmp_path / "server" / path.name) as other:
        assert all(numpy.array_equal(one[name], other[name]) for name in one.files)
        assert json.loads(str(one["facts"])) == {"lr": 0.1, "examples": 4}
    recipe = tmp_path / "client.yaml"
    recipe.write_text(json.dumps({key: value for key, value in RECIPE.items() if key != "lr"}))
    arguments = [str(path), "--recipe", str(recipe), "--out", str(tmp_path / "out"), "--budget", "4s"]
    assert main(arguments) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    spear = next(each for each in report["attacks"] if each["name"] == "SPEAR")
    assert spear["reason"] == "4 of 4 certified"
