"""A model of the harness is audited by its name."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from harness.audit.checks import check
from harness.audit.labels import GUESS, infer
from harness.base.errors import UserError
from harness.config.composition import part
from harness.core import Model
from tests.audit.clients import images, written
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


def test_a_name_of_timms_is_made_by_timm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for timm: tests/audit/test_timm.py has timm itself, where it is installed."""

    def create_model(model_name: str, num_classes: int = 1000, hidden: int = 8) -> nn.Module:
        torch.manual_seed(0)
        layers = [nn.Flatten(), nn.Linear(192, hidden), nn.ReLU(), nn.Linear(hidden, num_classes)]
        return nn.Sequential(*layers)

    timm = SimpleNamespace(is_model=lambda name: name == "tiny_net", create_model=create_model)
    monkeypatch.setitem(sys.modules, "timm", timm)
    network = create_model("tiny_net", 10, 16)
    before = {f"before/{name}": value.clone().numpy() for name, value in network.state_dict().items()}
    after = {name.replace("before", "after"): value + 0.1 for name, value in before.items()}
    facts = {"model": "tiny_net.in1k", "arguments": {"hidden": 16}, "classes": 10}
    path = written(tmp_path / "u.npz", before | after, **facts, examples=1)
    assert (opened(path).model.head, opened(path).classes) == ("network.3", 10)
    with pytest.raises(UserError, match="nor of timm's"):
        opened(written(tmp_path / "u.npz", before | after, **{**facts, "model": "tiny_nut"}))
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r"pip install .*\[timm\]"):
        opened(path)


class Pooled(nn.Sequential):
    """Convolutions alone: the last one's logits are averaged over places."""

    def __init__(self) -> None:
        pool = nn.AdaptiveAvgPool2d(1)
        super().__init__(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 10, 1), pool, nn.Flatten())


class Covering(nn.Sequential):
    """Convolutions alone: the last one covers all places."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 10, 6), nn.Flatten())


@pytest.mark.parametrize("kind", [Pooled, Covering])
def test_a_head_may_be_a_convolution(kind: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, (x, _) = kind(), images(4)
    y = torch.tensor([2, 2, 7, 9])
    before = {f"before/{name}": value.clone().numpy() for name, value in model.state_dict().items()}
    F.cross_entropy(model((x - 0.5) / 0.5), y).backward()
    torch.optim.SGD(model.parameters(), 0.1).step()
    after = {f"after/{name}": value.numpy() for name, value in model.state_dict().items()}
    facts = {"model": f"tests.audit.test_network:{kind.__name__}", "examples": 4}
    case = opened(written(tmp_path / "u.npz", before | after, **facts))
    assert (case.model.head, case.classes) == ("network.2", 10)
    assert {each.verdict for each in check(case)} <= {"ok", "not applicable"}
    counts = {each.rule: each.counts for each in infer(case).found if each.counts is not None}
    assert {"Geng", "iLRG", "LLG*", GUESS} <= counts.keys()
    for rule in ("LLG*", "iLRG"):
        assert torch.equal(counts[rule], torch.bincount(y, minlength=10)), rule
