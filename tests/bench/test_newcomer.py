"""What a newcomer waits for can be measured in a clone alone; what a bar promises, anywhere."""

from pathlib import Path

import pytest

from harness.bench import newcomer, progress
from harness.bench.report import FIGURES


def test_outside_a_clone_there_is_no_figure_but_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newcomer, "ROOT", tmp_path)
    (found,) = newcomer.measure()
    assert found.name in FIGURES
    assert (found.value, found.reason) == (None, "this is no clone")


def test_the_worst_promise_is_the_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "CASES", {"ig": 3, "gi": 2})
    (found,) = progress.measure()
    assert found.name in FIGURES
    errors = [float(found.details[f"x, {attack}"]) for attack in ("ig", "gi")]
    assert found.value == max(errors)
    assert min(errors) >= 1
