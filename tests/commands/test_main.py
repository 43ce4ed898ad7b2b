"""The command line as a user meets it: mistakes, statuses, outputs. Commands run in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.command import Main
from tests.command import main as main

QUICK = ["logger=none", "scale=smoke", "dataset=digits32"]


def clean_environment() -> dict[str, str]:
    """Without the user's data, and without the W&B service that another test may have started and stopped."""
    kept = {k: v for k, v in os.environ.items() if k != "HARNESS_DATA" and "WANDB" not in k}
    return kept | {"OMP_NUM_THREADS": "1"}


def harness(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `python -m harness` somewhere else than the repository."""
    environment = clean_environment()
    command = [sys.executable, "-m", "harness", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environment, check=False)


def test_a_mistake_is_answered_in_one_line(tmp_path: Path) -> None:
    """All others are in tests/commands/test_bad_input.py, where each is answered in the test's own process."""
    done = harness(*QUICK, "attack=idgl", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "harness: attack=idgl: there is no such attack; did you mean 'idlg'?\n"


def test_one_run_leaves_what_the_contract_says(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = harness(*QUICK, "scale=paper", "attack.steps=2", "trials=2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    directory = tmp_path / done.stdout.splitlines()[-1]
    expected = {"config.yaml", "rows.jsonl", "result.json", "reconstructions.safetensors", "gallery.png"}
    assert expected <= {path.name for path in directory.iterdir()}
    tensors = load_file(directory / "reconstructions.safetensors")
    rows = [json.loads(line) for line in (directory / "rows.jsonl").read_text().splitlines()]
    assert tensors["truth"].shape == tensors["reconstruction"].shape == (2, 1, 32, 32)
    assert len(rows) == 2
    keys = "target label label_inferred mse mse_ggl psnr_unit psnr_ggl ssim mse_r loss "
    keys += "lpips_vgg lpips_alex lpips_squeeze"
    for row, truth, found in zip(rows, tensors["truth"], tensors["reconstruction"], strict=True):
        assert set(f"{keys} iterations evaluations seconds status success".split()) <= set(row)
        assert row["mse"] == pytest.approx(float((truth - found).square().mean()), rel=1e-4)
        assert row["psnr_ggl"] == pytest.approx(row["psnr_unit"] - 6.0206, abs=1e-4)
        assert found.min() >= 0
        assert found.max() <= 1
    assert main(*QUICK, "scale=paper", "attack.steps=2", "trials=2") == 0
    assert capsys.readouterr().out == done.stdout


def test_help_does_not_import_torch(tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['harness', '--help']\nfrom harness.commands.main import main\n"
    code += "try: main()\nfinally: assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "attack: " in done.stdout
    assert "python -m harness table=table3" in done.stdout
