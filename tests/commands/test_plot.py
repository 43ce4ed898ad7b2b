"""Plots from the command line."""

from pathlib import Path

import pytest

from harness.bench.store import write
from harness.commands.plot import kinds, main


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write(folder, 16)
    return folder


COMMANDS = [
    "lines --x fl.batch_size --y psnr_unit,success --by attack --log",
    "heatmap --x fl.batch_size --y attack --value ssim",
    "scatter --x mse --y psnr_unit --by attack",
    "bars --x attack --y psnr_unit",
    "boxes --x attack --y psnr_unit",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_picture_and_its_numbers_are_written(
    command: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "figure.png"
    assert main([*command.split(), "--runs", str(root), "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.split() == [str(out), str(out.with_suffix(".csv"))]
    assert len(out.with_suffix(".csv").read_text().splitlines()) > 4


def test_every_kind_is_a_command() -> None:
    assert {command.split()[0] for command in COMMANDS} == set(kinds())


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("lines --x fl.batchsize --y ssim --out a.png", "did you mean 'fl.batch_size'?"),
        (
            "lines --x fl.batch_size --y lpips_vgg --out a.png",
            "lpips_vgg: none of these 64 images has a value",
        ),
        ("lines --x fl.batch_size --y ssim --out a.pdf", "a plot is a .png file"),
        ("lines --x fl.batch_size --y , --out a.png", "y: "),
        ("heatmap --x fl.batch_size --y seed --digits x --out a.png", "digits: "),
        ("lines --x fl.batch_size --y ssim --out a.png --runs nowhere", "no finished runs in nowhere"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    command: str,
    message: str,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(root)
    assert main(command.split() + ([] if "--runs" in command else ["--runs", "."])) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert message in err
    assert not list(root.glob("a.*"))


@pytest.mark.parametrize("command", ["pie --out a.png", "lines --x a --y b", "lines --y b --out a.png"])
def test_an_incomplete_command_is_status_2(command: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(command.split())
    assert stopped.value.code == 2
