"""A network of timm's, by its name. Runs where timm is installed: pip install '.[timm]'."""

from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch.nn import functional as F

from harness.audit.others import photographs
from harness.base.errors import UserError
from tests.audit.clients import written
from tests.audit.test_exact import opened
from tests.audit.test_report import attack, audited

timm = pytest.importorskip("timm")
SIDE = 32


def update(path: Path, name: str, arguments: dict[str, Any], **facts: Any) -> Path:
    """One step of one image, in eval mode."""
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=10, **arguments).eval()
    before = {f"before/{key}": value.clone().numpy() for key, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    F.cross_entropy(model(photographs((3, SIDE, SIDE), 1)), torch.tensor([3])).backward()
    optimizer.step()
    after = {f"after/{key}": value.numpy() for key, value in model.state_dict().items()}
    recipe = {"model": name, "arguments": arguments, "classes": 10, "input": [3, SIDE, SIDE], "mode": "eval"}
    return written(path, before | after, **recipe, normalization=None, examples=1, batch_size=1, **facts)


@pytest.mark.parametrize(
    ("name", "arguments", "head"),
    [
        ("resnet10t", {}, "network.fc"),
        ("vit_tiny_patch16_224", {"img_size": SIDE, "patch_size": 8, "depth": 2}, "network.head"),
    ],
)
def test_networks_of_timm(name: str, arguments: dict[str, Any], head: str, tmp_path: Path) -> None:
    path = update(tmp_path / "u.npz", name, arguments)
    assert opened(path).model.head == head
    report = audited(tmp_path, str(path), "--budget", "10s")
    assert report["label_verdict"] == "the label of a single image is read off exactly"
    counts = next(each["counts"] for each in report["labels"] if each["rule"] == "iDLG")
    assert counts == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert attack(report, "single input")["status"] in ("done", "not applicable")
    assert {each["verdict"] for each in report["checks"]} <= {"ok", "not applicable"}


def test_an_unknown_name_is_one_line(tmp_path: Path) -> None:
    arrays = {"before/x": numpy.zeros(1), "after/x": numpy.ones(1)}
    path = written(tmp_path / "u.npz", arrays, model="resnet10u", input=[3, SIDE, SIDE], classes=10)
    with pytest.raises(UserError, match="resnet10u"):
        opened(path)
