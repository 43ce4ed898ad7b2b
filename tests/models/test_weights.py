"""Checkpoints: held to the digest in their name, fitted exactly or refused, never executed."""

import hashlib
from pathlib import Path

import numpy
import pytest
import torch
from torch import nn

from harness.core import UserError
from harness.models.resnet18_imagenet import ResNet18ImageNet
from harness.models.weights import load_weights, read_weights


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2))


def test_reads_what_was_written(tmp_path: Path) -> None:
    network, other = small(), small()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    load_weights(other, tmp_path / "w.pth")
    assert torch.equal(other[0].weight, network[0].weight)


def test_a_digest_in_the_name_is_checked(tmp_path: Path) -> None:
    torch.save(small().state_dict(), tmp_path / "w.pth")
    digest = hashlib.sha256((tmp_path / "w.pth").read_bytes()).hexdigest()
    right = tmp_path / f"w-{digest[:8]}.pth"
    right.write_bytes((tmp_path / "w.pth").read_bytes())
    assert set(read_weights(right)) == {"0.weight", "0.bias"}
    wrong = right.rename(tmp_path / "w-00000000.pth")
    with pytest.raises(UserError, match="does not begin with 00000000"):
        read_weights(wrong)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Sequential(nn.Linear(3, 5)).state_dict(), tmp_path / "w.pth")
    network = small()
    before = network[0].weight.clone()
    with pytest.raises(UserError, match=r"0.bias is \(5,\) in the file and \(2,\) in the network"):
        load_weights(network, tmp_path / "w.pth")
    torch.save({"1.weight": torch.zeros(1)}, tmp_path / "v.pth")
    with pytest.raises(UserError, match=r"0.bias is nothing in the file .*3 tensors differ"):
        load_weights(network, tmp_path / "v.pth")
    assert torch.equal(network[0].weight, before)


class Planted:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("planted"),)


@pytest.mark.parametrize("content", [Planted(), [torch.zeros(1)], {"a": 1}], ids=["code", "list", "numbers"])
def test_what_is_no_state_dict_is_refused(
    content: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, "w.pth")
    with pytest.raises(UserError, match=r"w\.pth"):
        read_weights(Path("w.pth"))
    assert not Path("planted").exists()


def test_a_list_is_taken_in_order_and_a_common_prefix_is_taken_off(tmp_path: Path) -> None:
    network, arrays = small(), [numpy.full((2, 3), 5.0), numpy.full(2, 7.0)]
    torch.save(arrays, tmp_path / "list.pt")
    wrapped = {f"module.{name}": torch.full_like(v, 9) for name, v in network.state_dict().items()}
    torch.save({"state_dict": wrapped, "epoch": 3}, tmp_path / "w.ckpt")
    load_weights(network, tmp_path / "list.pt")
    assert network.state_dict()["0.bias"].tolist() == [7.0, 7.0]
    load_weights(network, tmp_path / "w.ckpt")
    assert network.state_dict()["0.bias"].tolist() == [9.0, 9.0]


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.pth: there is no such file"):
        read_weights(tmp_path / "none.pth")
    for content in (b"", b"not a checkpoint"):
        (tmp_path / "w.pth").write_bytes(content)
        with pytest.raises(UserError, match="is no file of weights"):
            read_weights(tmp_path / "w.pth")


def test_a_model_takes_the_weights_of_its_checkpoint(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "resnet.pth"
    source = ResNet18ImageNet().network((3, 32, 32), 4)
    torch.save(source.state_dict(), path)
    loaded = ResNet18ImageNet(weights=str(path)).network((3, 32, 32), 4)
    assert torch.equal(loaded.fc.weight, source.fc.weight)
    with pytest.raises(UserError, match="do not fit"):
        ResNet18ImageNet(weights=str(path)).network((3, 32, 32), 5)
