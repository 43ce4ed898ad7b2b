"""A whole process beside the authors' way."""

from dataclasses import replace

import pytest

from harness.bench import attacks, whole
from harness.bench.report import FIGURES


def test_the_other_process_attacks_every_image(monkeypatch: pytest.MonkeyPatch) -> None:
    attacked: list[int] = []
    real = attacks.serial_attack

    def counted(*given: object) -> object:
        found = real(*given)  # type: ignore[arg-type]
        attacked.append(found.evaluations)
        return found

    monkeypatch.setattr(whole, "serial_attack", counted)
    monkeypatch.setattr(whole, "CASE", replace(whole.CASE, steps=1))
    assert whole.main(["2"]) == 0
    assert len(attacked) == 2
    assert min(attacked) > 0


def test_ours_is_set_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[list[str]] = []

    def spent(line: list[str], status: int) -> float:
        lines.append(line)
        return {"harness": 4.0, "harness.bench.whole": 60.0}[line[1]]

    monkeypatch.setattr(whole, "cpu_seconds", spent)
    (found,) = whole.measure()
    assert (found.name, found.value) == ("whole_process", 15.0)
    assert found.name in FIGURES
    assert f"trials={whole.IMAGES}" in lines[0]
    assert lines[1][-1] == str(whole.IMAGES)
