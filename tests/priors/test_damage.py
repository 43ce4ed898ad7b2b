"""Damaged generators and checkpoints are refused."""

from pathlib import Path

import pytest
import torch
from torch import nn

from harness.core import UserError
from harness.priors.training import finished_steps
from harness.priors.wgan_gp import WGANGP
from harness.store.cache import Entry
from tests.command import main as main


@pytest.mark.parametrize("place", [100, -1])
def test_a_damaged_generator_is_refused_by_its_checksum(tmp_path: Path, place: int) -> None:
    entry = Entry.of(str(tmp_path), "Test", {"seed": 0})
    entry.save(nn.Linear(3, 2))
    content = bytearray(entry.weights.read_bytes())
    content[place] ^= 1
    entry.weights.write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"checksum differs.*delete it to train"):
        entry.load(nn.Linear(3, 2))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", None])
def test_a_damaged_checkpoint_of_a_training_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "training.ckpt"
    torch.save({"unexpected": 1}, path)
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match="is damaged: delete it"):
        finished_steps(path, WGANGP(steps=1))
