"""What the benchmark writes down: nothing is lost between two runs, and a target is not met by being near it."""

from dataclasses import replace
from pathlib import Path

import torch

from harness.bench.report import FIGURES, BenchResult, Figure, load, save
from harness.bench.serial import attack
from harness.core import Batch
from tests.conftest import Observe


def test_parts_are_added_to_what_is_there(tmp_path: Path) -> None:
    first = BenchResult("lbfgs", 3.1, {"ms per step, ours": 0.31, "data": "none"}, "a reason, with a comma")
    save([first], {"machine": "x"}, tmp_path)
    save([BenchResult("ggl", 0.5)], {"machine": "x"}, tmp_path)
    save([BenchResult("ggl", 0.96)], {"machine": "x"}, tmp_path)
    told = {"measured on": "x"}
    assert load(tmp_path) == {
        "lbfgs": replace(first, details=first.details | told),
        "ggl": BenchResult("ggl", 0.96, told),
    }
    document = (tmp_path / "bench.md").read_text()
    assert document.count("not measured") == len(FIGURES) - 2
    assert "a reason, with a comma" in document
    assert "| 0.96 x | yes |" in document


def test_met() -> None:
    more, less = Figure("", 5, 8), Figure("", 5, 2, "%", less=True)
    assert [more.met(value) for value in (4.9, 5, 8)] == ["no", "yes", "stretch"]
    assert [less.met(value) for value in (5.1, 5, 2)] == ["no", "yes", "stretch"]


def test_the_serial_baseline_inverts_a_smooth_network(observe: Observe, batch: Batch) -> None:
    """A baseline that fails would make any engine look good."""
    secret = Batch(batch.x[:1], batch.y[:1])
    observation = observe(secret)
    start = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = attack(observation, start, None, secret.y, steps=60)
    assert found.loss < 1e-6
    assert found.evaluations > 20
