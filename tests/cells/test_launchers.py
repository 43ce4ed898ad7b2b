"""Every launcher makes the same table. SLURM is played by a few scripts that really run what is submitted."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import Main, stamps
from tests.tables.test_sweep import main, rows, write

__all__ = ["main"]

SLURM = {
    "sbatch": """
        cp "$1" "$CLUSTER/script"
        [ -e "$CLUSTER/closed" ] && { echo "the partition is closed" >&2; exit 1; }
        last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\)%.*/\\1/p' "$1")
        for task in $(seq 0 "${last:-0}"); do
            export SLURM_JOB_ID=42 SLURM_JOB_NUM_NODES=1 SLURM_NTASKS=1 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0
            [ -n "$last" ] && export SLURM_ARRAY_JOB_ID=42 SLURM_ARRAY_TASK_ID=$task
            sh "$CLUSTER/script" >> "$CLUSTER/log" 2>&1 &
            echo $! > "$CLUSTER/job-42${last:+_$task}"
        done
        echo "Submitted batch job 42"
    """,
    "srun": """
        while true; do
            case "$1" in
                --output|--error) shift 2 ;;
                --*) shift ;;
                *) break ;;
            esac
        done
        exec "$@"
    """,
    "squeue": """
        for job in "$CLUSTER"/job-*; do
            kill -0 "$(cat "$job")" 2> "$CLUSTER/errors" && echo "${job##*-}|RUNNING|None"
        done
        true
    """,
    "scancel": "",
    "scontrol": "",
}

SETTINGS = (
    "hydra/launcher=submitit_slurm",
    "hydra.launcher.partition=gpu",
    "hydra.launcher.gpus_per_node=2",
    "hydra.launcher.timeout_min=90",
    "hydra.launcher.array_parallelism=2",
)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds SLURM's commands, what was submitted to them last, and the log of it."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    for name, body in SLURM.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("CLUSTER", str(folder))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_what_is_submitted_to_slurm_says_what_was_asked_for(
    main: Main, cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (cluster / "closed").touch()
    assert main(*SETTINGS) == 2
    assert capsys.readouterr().err == "harness: SLURM takes no job: the partition is closed\n"
    options = dict(re.findall(r"^#SBATCH --([\w-]+)=?(.*)$", (cluster / "script").read_text(), re.MULTILINE))
    expected = {
        "partition": "gpu", "gpus-per-node": "2", "time": "90", "requeue": "", "array": "0-1%2", "cpus-per-task": "1",
    }  # fmt: skip
    assert expected.items() <= options.items()
    assert options["output"].startswith(str(Path("runs", ".submitit").absolute()))


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
        ("hydra/launcher=submitit_local",),
        SETTINGS,
    ],
    ids=["joblib", "submitit_local", "submitit_slurm"],
)
def test_every_launcher_makes_bit_identical_rows(
    main: Callable[..., int], cluster: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    elsewhere = [f"paths.{name}={tmp_path / 'one' / name}" for name in ("runs", "results")]
    write(tmp_path / "own", seeds=[0, 1])
    assert main(*elsewhere) == 0
    assert main(*arguments) == 0
    assert len(stamps(tmp_path)) == 8
    assert rows(tmp_path) == rows(tmp_path / "one")
