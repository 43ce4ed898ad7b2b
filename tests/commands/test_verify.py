"""A record that is carried out again: its own numbers agree, altered ones don't, and nothing is written."""

import json
from pathlib import Path

import pytest

from harness.commands.verify import main as verify
from harness.config.composition import compose, restore
from harness.config.execution import Paths
from tests.command import QUICK, Main
from tests.command import main as main
from tests.config.test_conf import FILES, NEEDS, plant


@pytest.fixture
def run(main: Main, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Path:
    assert main(*QUICK, "attack=dlg", "attack.steps=2", "trials=2", "fl.batch_size=2") == 0
    return tmp_path / capfd.readouterr().out.strip()


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_agrees_with_itself_bit_by_bit(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = content(run.parent)
    assert verify([str(run)]) == 0
    out = capfd.readouterr().out
    assert f"{run}: bit-identical: 4 rows" in out
    assert "DIFFERS" not in out
    assert content(run.parent) == before


@pytest.mark.parametrize(("factor", "status"), [(1 + 1e-9, 0), (1.01, 1)])
def test_a_number_that_was_altered_is_found(
    factor: float, status: int, run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from harness.base.files import to_json
    from harness.store.records import summarise

    lines = [json.loads(line) for line in (run / "rows.jsonl").read_text().splitlines()]
    lines[2]["mse"] *= factor
    (run / "rows.jsonl").write_text("".join(to_json(line) + "\n" for line in lines))
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(to_json(result | {"summary": summarise(lines)}))
    assert verify([str(run)]) == status
    (mse,) = [line for line in capfd.readouterr().out.splitlines() if line.split()[0] == "mse"]
    assert ("DIFFERS" if status else "agrees within 1e-06") in mse


def test_a_summary_that_is_not_of_the_rows_is_found(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    result = json.loads((run / "result.json").read_text())
    result["summary"]["mse"]["mean"] /= 2
    (run / "result.json").write_text(json.dumps(result))
    assert verify([str(run)]) == 1
    assert "summary" in capfd.readouterr().out


def test_another_configuration_is_found(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = run / "config.yaml"
    path.write_text(path.read_text().replace("\nseed: 0", "\nseed: 3"))
    assert verify([str(run)]) == 1
    assert "config.yaml is not what was run: seed 3, was 0" in capfd.readouterr().out


def test_code_with_another_version_is_told_from_other_numbers(
    run: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from harness.attacks.dlg import DLG

    monkeypatch.setattr(DLG, "version", 99)
    assert verify([str(run)]) == 1
    assert "a component's version or defaults, or the data files, are others" in capfd.readouterr().out


@pytest.mark.parametrize("damage", ["", "[1]", "seed: {", "seed: 0\n", "\x00"])
def test_a_configuration_that_cannot_be_read(
    damage: str, run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (run / "config.yaml").write_text(damage)
    assert verify([str(run)]) in (1, 2)
    out, err = capfd.readouterr()
    assert "Traceback" not in err
    assert "config.yaml" in out + err


def test_no_such_run(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert verify([str(run.with_name(run.name[:-1] + "z"))]) == 2
    assert f"did you mean '{run.name}'" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("group", "name"), [f for f in FILES if f[0] not in ("labels", "logger", "hydra", "partition")]
)
def test_a_stored_configuration_is_the_same_experiment(
    group: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(plant(tmp_path))
    needs = NEEDS.get(name, ["prior=untrained"] if group == "attack" else [])
    experiment = compose(f"{group}={name}", *needs)
    again = restore(json.loads(json.dumps(experiment.config)), experiment.data.root, Paths())
    assert again.id == experiment.id
    assert again.config == experiment.config
