"""Questions to the store from the command line."""

from pathlib import Path

import pandas
import pytest

from harness.bench.store import write
from harness.commands.query import main


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write(folder, 8)
    return folder


def test_images_are_listed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["attack == 'ig' and psnr_unit > 5", "--runs", str(root), "--columns", "run,target,psnr_unit"])
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["run", "target", "psnr_unit"]
    assert {line.split()[0] for line in lines[1:]} == {f"{2:012x}", f"{6:012x}"}
    assert main(["psnr_unit > 1000", "--runs", str(root)]) == 0
    assert capsys.readouterr().out == "no image fulfils the condition\n"


def test_nothing_is_left_out_in_silence(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--runs", str(root), "--lines", "3"]) == 0
    assert "... and 29 more: --lines 32 or --csv FILE shows all" in capsys.readouterr().out


def test_a_damaged_run_is_left_out_and_said_by_the_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, 2)
    for damaged in (1, 0):
        (tmp_path / f"{damaged:012x}" / "rows.jsonl").write_text("")
        status = main(["--runs", str(tmp_path), "--columns", "run"])
        out, err = capsys.readouterr()
        assert "is damaged (rows.jsonl" in err
        assert (status, f"{0:012x}" in out) == ((1, True) if damaged else (2, False))


def test_groups_have_statistics_also_as_csv(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new" / "groups.csv"
    arguments = ["--by", "attack,fl.batch_size", "--columns", "psnr_unit", "--csv", str(path)]
    assert main([*arguments, "--runs", str(root)]) == 0
    table = pandas.read_csv(path)
    assert list(table["attack"]) == sorted(["dlg", "idlg", "ig", "gi"] * 2)
    assert set(table["n"]) == {4}
    assert capsys.readouterr().out.split()[:4] == ["attack", "fl.batch_size", "metric", "runs"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["psnr > 20"], "psnr: there is no such column; did you mean 'psnr_"),
        (["--by", "atack"], "atack: there is no such column; did you mean 'attack'?"),
        (["--columns", "psnr_units"], "did you mean 'psnr_unit'?"),
        (["__import__('os')"], "has no place in a condition"),
        (["--runs", "nowhere"], "no finished runs in nowhere"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    root: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments if "--runs" in arguments else [*arguments, "--runs", str(root)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert message in err


def test_a_metric_by_half_its_name_and_a_file_without_one(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["psnr > 3", "--runs", str(root)]) == 2
    assert "did you mean 'psnr_unit'" in capsys.readouterr().err
    assert main(["--runs", str(root), "--csv", ""]) == 2
    assert "is a folder: name the file" in capsys.readouterr().err
