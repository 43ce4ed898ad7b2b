"""What whoever gives a command sees of a cluster: a table, Ctrl-C, jobs that can't start. Part of what CI runs."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.cells.slurm.conftest import Cluster, wait
from tests.command import Main
from tests.tables.test_sweep import main, rows, write

__all__ = ["main"]
pytestmark = pytest.mark.slurm


def test_workers_make_the_table_of_one_process(cluster: Cluster, main: Main, tmp_path: Path) -> None:
    write(tmp_path / "own", seeds=[0, 1])
    assert main(*[f"paths.{name}={tmp_path / 'one' / name}" for name in ("runs", "results")]) == 0
    said = cluster.end(cluster.start(), 0)
    assert "[8/8]" in said
    cluster.check_whole(8)
    assert rows(tmp_path) == rows(tmp_path / "one")


def test_ctrl_c_reaches_workers_elsewhere_and_cancels_what_waits(cluster: Cluster) -> None:
    """Workers see neither the command's /tmp nor its terminal."""
    front = cluster.start("hydra.launcher.cpus_per_task=2", "trials=14", workers=3)
    wait(lambda: cluster.at_work() and cluster.jobs("PENDING"), 180)
    begun = time.monotonic()
    front.send_signal(signal.SIGINT)
    said = cluster.end(front, 130, 180)
    assert time.monotonic() - begun < 30
    assert "stopping after the current image" in said
    assert "goes on where this one stopped" in said
    assert not cluster.jobs()
    before = cluster.at_work()
    assert 0 < before < 56
    time.sleep(2)
    assert cluster.at_work() == before
    cluster.end(cluster.start("hydra.launcher.cpus_per_task=2", "trials=14"), 0, 300)
    cluster.check_whole(4)


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("hydra.launcher.timeout_min=600", "Partition"),
        ("hydra.launcher.mem_gb=4000", "Memory specification"),
    ],
)
def test_a_job_that_can_never_start_is_answered_by_the_queue(
    setting: str, reason: str, cluster: Cluster
) -> None:
    said = cluster.end(cluster.start(setting), 1 if "time" in setting else 2, 180)
    assert reason in said
    assert len([line for line in said.splitlines() if reason in line]) <= 2, said
    assert not cluster.jobs()
    assert not (cluster.here / "runs" / ".submissions").exists()
    assert os.listdir(cluster.here / "runs") in ([], [".submitit"])
