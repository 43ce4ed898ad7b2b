"""A record that is carried out again: its own numbers agree, altered ones don't, and nothing is written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file, save

from harness.base.files import to_json
from harness.base.memory import look_again
from harness.commands.publish import without_paths
from harness.commands.verify import main as verify
from harness.config.composition import compose, restore
from harness.config.execution import Paths
from harness.runs.run import run as carry_out
from harness.store.published import light, put
from harness.store.records import summarise
from tests.command import QUICK, Main
from tests.command import main as main
from tests.config.test_conf import FILES, chosen, plant
from tests.damage import unseal


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    quick = [each for each in QUICK if not each.startswith("paths")]
    experiment = compose(
        *quick, f"paths.runs={folder}", "attack=dlg", "attack.steps=2", "trials=2", "fl.batch_size=2"
    )
    return folder / carry_out(experiment).id


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "runs" / finished.name)
    return tmp_path / "runs" / finished.name


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
    """In a run from before files had digests."""
    lines = [json.loads(line) for line in (run / "rows.jsonl").read_text().splitlines()]
    lines[2]["mse"] *= factor
    (run / "rows.jsonl").write_text("".join(to_json(line) + "\n" for line in lines))
    unseal(run, summary=summarise(lines))
    assert verify([str(run)]) == status
    out = capfd.readouterr().out
    (mse,) = [line for line in out.splitlines() if line.split()[0] == "mse"]
    assert ("DIFFERS" if status else "agrees within 1e-06") in mse
    assert f"{run}: not sealed" in out
    assert "code, data and machine are the same" in out


def test_pictures_that_were_altered_are_found_by_computing_them_again(
    run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = run / "reconstructions.safetensors"
    tensors = load_file(str(path))
    tensors["reconstruction"][1, 0, 3, 3] += 0.25
    path.write_bytes(save(tensors))
    unseal(run)
    assert verify([str(run)]) == 1
    (line,) = [line for line in capfd.readouterr().out.splitlines() if "pictures: reconstruction " in line]
    assert line.split()[-2:] == ["0.25", "DIFFERS"]


def test_another_machine_or_version_is_named(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = [json.loads(line) for line in (run / "rows.jsonl").read_text().splitlines()]
    lines[2]["mse"] *= 2
    (run / "rows.jsonl").write_text("".join(to_json(line) + "\n" for line in lines))
    origin = json.loads((run / "result.json").read_text())["provenance"]
    versions = origin["versions"] | {"torch": "0.9"}
    unseal(
        run, summary=summarise(lines), provenance=origin | {"instructions": "ABACUS", "versions": versions}
    )
    assert verify([str(run)]) == 1
    last = capfd.readouterr().out.splitlines()[-1]
    assert "; code: versions.torch " in last
    assert "was '0.9'; machine: instructions " in last


def test_a_summary_that_is_not_of_the_rows_is_found(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    summary = json.loads((run / "result.json").read_text())["summary"]
    summary["mse"]["mean"] /= 2
    unseal(run, summary=summary)
    assert verify([str(run)]) == 1
    assert "summary" in capfd.readouterr().out


def test_another_configuration_is_found(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = run / "config.yaml"
    path.write_text(path.read_text().replace("\nseed: 0", "\nseed: 3"))
    unseal(run)
    assert verify([str(run)]) == 1
    assert "damage: config.yaml is not what was run: seed 3, was 0" in capfd.readouterr().out


def test_code_with_another_version_is_told_from_other_numbers(
    run: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from harness.attacks.dlg import DLG

    monkeypatch.setattr(DLG, "version", 99)
    assert verify([str(run)]) == 1
    assert "DIFFERS: code: attack.version 99, was 1" in capfd.readouterr().out


def test_other_data_under_the_same_name_are_told_from_other_code(
    main: Main, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for shade in (40, 90):
        (tmp_path / "zoo" / str(shade)).mkdir(parents=True)
        for place in range(10):
            Image.new("RGB", (8, 8), (shade, 20 * place, 0)).save(
                tmp_path / "zoo" / str(shade) / f"{place}.png"
            )
    own = [each for each in QUICK if not each.startswith("dataset")]
    assert (
        main(*own, "dataset=image_folder", "data.root=zoo", "attack=idlg", "attack.steps=1", "trials=1") == 0
    )
    run = tmp_path / capfd.readouterr().out.strip()
    assert verify([str(run), "--data", "zoo"]) == 0
    for path in (tmp_path / "zoo").glob("*/*.png"):
        Image.new("RGB", (8, 8), (1, 2, 3)).save(path)
    look_again()  # as another process does
    capfd.readouterr()
    assert verify([str(run), "--data", "zoo"]) == 1
    assert "DIFFERS: data: files " in capfd.readouterr().out


DAMAGES: dict[str, Callable[[Path], object]] = {
    "deleted": Path.unlink,
    "emptied": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "flipped": lambda path: path.write_bytes(path.read_bytes()[:-9] + b"?" + path.read_bytes()[-8:]),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "name",
    [
        "reconstructions.safetensors",
        "gallery.png",
        "traces.jsonl",
        "rows.jsonl",
        "config.yaml",
        "identity.json",
    ],
)
def test_damage_to_any_file_is_named(
    name: str, damage: str, run: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.runs.run.run", lambda _: pytest.fail("it was computed again"))
    DAMAGES[damage](run / name)
    assert verify([str(run)]) == 1
    out, err = capfd.readouterr()
    assert out.startswith(f"{run}: DIFFERS: damage: {name}, ")
    assert (len(out.splitlines()), err) == (1, "")


def test_a_damaged_run_stops_no_other(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    other = run.with_name("other")
    shutil.copytree(run, other)
    (run.parent / "nothing").mkdir()
    assert verify([str(other), str(run.parent / "nothing"), str(run)]) == 2
    out, err = capfd.readouterr()
    assert out.splitlines()[0] == f"{other}: DIFFERS: damage: result.json, it is that of run {run.name}"
    assert "nothing is no finished run" in err
    assert f"{run}: bit-identical" in out


def test_a_published_run_has_no_pictures_and_is_not_damaged(
    run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = light(run, without_paths)
    shutil.rmtree(run)
    put(run, files)
    assert verify([str(run)]) == 0
    assert f"{run}: bit-identical: 4 rows, " in (out := capfd.readouterr().out)
    assert "pictures not published" in out


def test_no_such_run(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert verify([str(run.with_name(run.name[:-1] + "z"))]) == 2
    assert f"did you mean '{run.name}'" in capfd.readouterr().err


@pytest.mark.parametrize(("group", "name"), [f for f in FILES if f[0] not in ("logger", "hydra")])
def test_a_stored_configuration_is_the_same_experiment(
    group: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(plant(tmp_path))
    experiment = compose(*chosen(group, name)[0])
    again = restore(json.loads(json.dumps(experiment.config)), experiment.data.root, Paths())
    assert again.id == experiment.id
    assert again.config == experiment.config
