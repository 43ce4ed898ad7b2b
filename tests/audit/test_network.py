"""A model of the harness is audited by its name."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from harness.base.errors import UserError
from harness.config.composition import part
from harness.core import Model
from tests.audit.clients import written
from tests.audit.test_exact import opened


def update(path: Path, model: str, arguments: dict[str, int]) -> Path:
    from harness.base.components import build

    ours: Model = build("model", {**part("model", model), **arguments})
    torch.manual_seed(0)
    network = ours.activated((1, 32, 32), 10).eval()
    before = {f"before/{name}": value.clone().numpy() for name, value in network.state_dict().items()}
    F.cross_entropy(network(torch.rand(1, 1, 32, 32)), torch.tensor([3])).backward()
    torch.optim.SGD(network.parameters(), 0.1).step()
    after = {f"after/{name}": value.numpy() for name, value in network.state_dict().items()}
    facts = {"model": model, "arguments": arguments, "classes": 10, "input": [1, 32, 32], "mode": "eval"}
    return written(path, before | after, **facts, normalization=None, examples=1, batch_size=1)


@pytest.mark.parametrize(
    ("name", "arguments"), [("lenet", {}), ("mlp", {"hidden": 16}), ("resnet18", {"width": 4, "blocks": 1})]
)
def test_models_of_the_harness(name: str, arguments: dict[str, int], tmp_path: Path) -> None:
    case = opened(update(tmp_path / "u.npz", name, arguments))
    assert case.classes == 10
    assert case.observation is not None


def test_a_malicious_servers_model_is_refused(tmp_path: Path) -> None:
    arrays = {"before/x": torch.zeros(1).numpy(), "after/x": torch.ones(1).numpy()}
    facts = {"model": "imprint_mlp", "classes": 10, "input": [1, 32, 32], "normalization": None}
    with pytest.raises(UserError, match="malicious server's"):
        opened(written(tmp_path / "u.npz", arrays, **facts))
