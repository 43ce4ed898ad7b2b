"""The command line as a user meets it: mistakes, statuses, outputs. Commands run in processes of their own."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

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


MISTAKES = {
    "unknown attack": (["attack=idgl"], "attack=idgl", "did you mean 'idlg'"),
    "out of range": (["defense=noise", "defense.sigma=-1"], "defense.sigma", "greater than or equal to 0"),
}
"""The others are in tests/commands/test_bad_input.py, where each is answered in the test's own process."""


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered_in_one_or_two_lines(name: str, tmp_path: Path) -> None:
    arguments, *expected = MISTAKES[name]
    defaults = [argument for argument in QUICK if argument.split("=")[0] not in "".join(arguments)]
    begun = time.perf_counter()
    done = harness(*defaults, *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert 1 <= len(done.stderr.strip().splitlines()) <= 2, done.stderr
    assert "Traceback" not in done.stderr
    for part in expected:
        assert part in done.stderr
    assert done.stdout == ""
    assert time.perf_counter() - begun < 30  # a hang, not a measurement


def test_one_run_leaves_what_the_contract_says(tmp_path: Path) -> None:
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
    again = harness(*QUICK, "scale=paper", "attack.steps=2", "trials=2", cwd=tmp_path)
    assert again.stdout == done.stdout


def test_a_multirun_prints_every_directory(tmp_path: Path) -> None:
    done = harness("-m", *QUICK, "attack=dlg,ig", "seed=0,1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    directories = [line for line in done.stdout.splitlines() if line.startswith("runs/")]
    assert len(set(directories)) == 4
    assert all((tmp_path / directory / "result.json").exists() for directory in directories)


def test_help_does_not_import_torch(tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['harness', '--help']\nfrom harness.commands.main import main\n"
    code += "try: main()\nfinally: assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "attack: " in done.stdout
    assert "python -m harness table=table3" in done.stdout
