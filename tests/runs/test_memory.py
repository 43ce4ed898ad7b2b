"""Memory is counted before it is asked for."""

from pathlib import Path

import pytest
import torch

from harness.base.errors import explain_failure
from harness.config.composition import compose
from harness.runs import memory
from harness.runs.run import run


def test_weights_are_counted_without_being_made() -> None:
    experiment = compose("model=lenet")
    network = experiment.model.network(experiment.dataset.shape, 10)
    assert memory.weights(experiment.model, experiment.dataset.shape, 10) == sum(
        p.numel() for p in network.parameters()
    )
    assert memory.weights(compose("model=resnet18", "model.width=65536").model, (1, 32, 32), 10) > 10**13


@pytest.mark.parametrize("seed", [0, 1])
def test_counting_draws_nothing(seed: int) -> None:
    torch.manual_seed(seed)
    before = torch.random.get_rng_state()
    memory.weights(compose("model=lenet").model, (1, 32, 32), 10)
    assert torch.equal(torch.random.get_rng_state(), before)


FOUR = ("trials=4", "seed=0")


@pytest.mark.parametrize(("slots", "fits"), [("1", True), ("4", False), ("null", True)])
def test_slots_count(slots: str, fits: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    experiment = compose(
        "logger=none", "model=lenet", f"attack.slots={slots}", *FOUR, f"paths.runs={tmp_path}/runs"
    )
    monkeypatch.setattr(memory, "available", lambda _: 4 * 15_226 * 4)
    if fits:
        memory.check_memory(experiment)
        return
    with pytest.raises(MemoryError) as error:
        run(experiment)
    assert "out of memory: lower attack.slots" in explain_failure(error.value)
    assert "GiB were asked for" in explain_failure(error.value)
    assert not list(tmp_path.glob("runs/*/rows.jsonl"))
