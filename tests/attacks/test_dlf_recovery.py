"""What DLF recovers from a client that trained for several epochs, beside attacks that know less of it."""

from pathlib import Path

import pytest

from harness.config.composition import compose
from harness.runs.run import run

CLIENT = ["fl=fedavg", "fl.examples_per_client=10", "fl.batch_size=5", "fl.local_epochs=5", "fl.lr=0.1"]
COMMON = ["dataset=photos32", "model=mlp", "model.normalize=symmetric", "knowledge.labels=true", "trials=1"]
ABOVE = 19
"""dB from which an image counts as recovered (Dimitrov et al. 2022)."""


def psnr(folder: Path, *overrides: str) -> list[float]:
    """Of each image in dB."""
    attack = ["attack=dlf", "attack.steps=200", "logger=none", f"paths.runs={folder}", *overrides]
    return [row["psnr_unit"] for row in run(compose(*COMMON, *CLIENT, *attack)).rows]


@pytest.mark.slow
def test_simulating_the_clients_training_recovers_more_images(tmp_path: Path) -> None:
    """Ten images in batches of 5 over 5 epochs, at a rate that moves the weights far from where they began."""
    simulated, one_gradient = psnr(tmp_path), psnr(tmp_path, "attack.epochs=none")
    assert sum(simulated) > sum(one_gradient) + 3 * len(simulated)
    assert sum(each > ABOVE for each in simulated) > sum(each > ABOVE for each in one_gradient)
