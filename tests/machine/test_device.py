"""Which processor a run works on."""

import pytest
import torch

from harness.core import UserError
from harness.machine.device import device, take_turn


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with three GPUs."""
    current = [0]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "set_device", lambda number: current.__setitem__(0, number))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: current[0])


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_workers_take_turns_at_the_gpus(name: str) -> None:
    chosen = []
    for worker in range(5):
        take_turn(worker)
        chosen.append(str(device(name)))
    assert chosen == ["cuda:0", "cuda:1", "cuda:2", "cuda:0", "cuda:1"]
    assert device("cpu").type == "cpu"


def test_without_a_gpu_it_is_the_cpu_unless_one_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    take_turn(1)
    assert device("auto").type == "cpu"
    with pytest.raises(UserError, match="no usable GPU"):
        device("cuda")
