"""What a table survives on a cluster: workers, nodes, the controller and the command itself may go."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cells.slurm.conftest import SCRIPT, SLOW, Cluster, wait
from tests.command import stamps
from tests.tables.test_sweep import TOY, write

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]


def at_work(cluster: Cluster, workers: int = 2) -> None:
    """Until so many workers are at a cell each, and one has stored something."""
    wait(lambda: cluster.at_work() and len(list(cluster.here.glob("runs/*/.lease-*"))) >= workers, 120)


def test_a_job_that_dies_before_python_starts_is_told_with_its_log(cluster: Cluster) -> None:
    said = cluster.end(cluster.start("hydra.launcher.setup=['echo no module cuda >&2', exit 3]"), 1, 60)
    (line,) = [line for line in said.splitlines() if "no job of its workers is in SLURM's queue" in line]
    log = Path(line.rpartition("see ")[2])
    assert "no module cuda" in log.read_text()
    assert "4 of 4 cells" in said


def test_a_killed_worker_is_not_waited_for(cluster: Cluster) -> None:
    front = cluster.start()
    at_work(cluster)
    os.kill(cluster.worker(cluster.jobs("RUNNING")[0]), signal.SIGKILL)
    cluster.end(front, 0, 240)
    cluster.check_whole(4)


def test_where_all_workers_are_killed_that_is_said(cluster: Cluster) -> None:
    front = cluster.start("trials=40")
    at_work(cluster)
    for job in cluster.jobs("RUNNING"):
        os.kill(cluster.worker(job), signal.SIGKILL)
    said = cluster.end(front, 1, 60)
    assert "no job of its workers is in SLURM's queue any more" in said
    cluster.end(cluster.start("trials=40", "~hydra.sweeper.rows.Two"), 0, 300)
    cluster.check_whole(2)


def test_the_last_cell_is_taken_at_once_when_its_worker_is_queued_again(cluster: Cluster) -> None:
    """Its worker is told to end, gives its cell up, and the other, which had nothing to do, takes it."""
    rows = {"Long": [*SLOW["One"], "trials=60"], "Short": [*SLOW["Two"], "trials=1"]}
    write(cluster.here / "own", base=[*TOY["base"], "attack.slots=1"], rows=rows, columns={"None": []})
    front = cluster.start()
    wait(lambda: stamps(cluster.here), 120)
    (path,) = cluster.here.glob("runs/*/.lease-*")
    holder = path.read_text()
    (job,) = [job for job in cluster.jobs("RUNNING") if f'"pid": {cluster.worker(job)},' in holder]
    time.sleep(3)  # until the other one looks on
    assert len(cluster.jobs("RUNNING")) == 2
    begun = time.monotonic()
    cluster.ask("scontrol", "requeue", job)
    wait(
        lambda: [p.read_text() for p in cluster.here.glob("runs/*/.lease-*")] not in ([holder], [""], []), 60
    )
    assert time.monotonic() - begun < 15
    cluster.end(front, 0, 240)
    cluster.check_whole(2)


def test_the_only_worker_starts_again_without_a_pause(cluster: Cluster) -> None:
    front = cluster.start("trials=20", "~hydra.sweeper.rows.Two", workers=1)
    at_work(cluster, 1)
    (job,) = cluster.jobs("RUNNING")
    cluster.ask("scontrol", "requeue", job)
    begun = time.monotonic()
    wait(lambda: not cluster.jobs("RUNNING"))
    wait(lambda: cluster.jobs("RUNNING"), 100)
    assert time.monotonic() - begun < 60, "SLURM has it wait for two minutes"
    cluster.end(front, 0, 240)
    cluster.check_whole(2)


def test_workers_outlive_their_command_and_are_joined(cluster: Cluster) -> None:
    front = cluster.start("trials=20")
    at_work(cluster)
    front.kill()
    front.communicate()
    before = set(cluster.jobs())
    assert len(before) == 2
    second = cluster.start("trials=20")
    wait(lambda: list(cluster.here.glob("runs/.submissions/*")).__len__() == 2)
    time.sleep(3)
    assert set(cluster.jobs()) <= before
    said = cluster.end(second, 0, 240)
    assert "joining the workers of an earlier start" in said
    cluster.check_whole(4)


def test_workers_that_were_joined_are_stopped_too(cluster: Cluster) -> None:
    front = cluster.start("trials=60")
    at_work(cluster)
    front.kill()
    front.communicate()
    second = cluster.start("trials=60")
    wait(lambda: len(list(cluster.here.glob("runs/.submissions/*"))) == 2)
    second.send_signal(signal.SIGINT)
    cluster.end(second, 130, 60)
    assert not cluster.jobs()
    assert len(stamps(cluster.here)) < 4


def test_a_second_ctrl_c_cancels_all(cluster: Cluster) -> None:
    write(cluster.here / "own", rows={"Endless": ["attack=ig", "attack.steps=100000"], "More": SLOW["Two"]})
    front = cluster.start("hydra.launcher.cpus_per_task=2", workers=3)
    wait(lambda: len(list(cluster.here.glob("runs/*/.lease-*"))) == 2, 120)
    front.send_signal(signal.SIGINT)
    time.sleep(2)
    front.send_signal(signal.SIGINT)
    cluster.end(front, 130, 30)
    wait(lambda: not cluster.jobs(), 20)


def test_a_table_is_preempted_and_goes_on(cluster: Cluster, tmp_path: Path) -> None:
    front = cluster.start("trials=20")
    at_work(cluster)
    script = tmp_path / "urgent"
    script.write_text("#!/bin/sh\nsleep 20\n")
    urgent = cluster.ask(
        "sbatch",
        "--parsable",
        "--partition=high",
        "--nodes=2",
        "--exclusive",
        "--output=/dev/null",
        str(script),
    )
    wait(lambda: cluster.jobs("RUNNING") == [urgent.strip()])
    said = cluster.end(front, 0, 300)
    assert "waiting (" in said
    cluster.check_whole(4)


def test_a_node_that_is_taken_down_costs_nothing(cluster: Cluster) -> None:
    front = cluster.start("trials=20", "hydra.launcher.cpus_per_task=2")
    at_work(cluster)
    cluster.ask("scontrol", "update", "nodename=two", "state=down", "reason=test")
    try:
        cluster.end(front, 0, 300)
    finally:
        cluster.ask("scontrol", "update", "nodename=two", "state=resume")
    cluster.check_whole(4)


def test_a_table_is_made_while_the_controller_is_gone(cluster: Cluster) -> None:
    front = cluster.start("trials=20")
    at_work(cluster)
    os.kill(int((cluster.folder / "controller.pid").read_text()), signal.SIGTERM)
    try:
        said = cluster.end(front, 0, 300)
        assert len(stamps(cluster.here)) == 4
    finally:
        subprocess.run([SCRIPT, "control", cluster.folder], check=True)
        wait(lambda: cluster.ask("sinfo", "--noheader"))
    assert "SLURM" in said
    cluster.check_whole(4)


def test_ranks_on_two_nodes_share_a_run(cluster: Cluster) -> None:
    one = ["-m", "harness", "attack=dlg", "attack.steps=2", "trials=4", "logger=none", "model=lenet"]
    environment = {**cluster.environment, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "18765"}

    def run(*started: str, arguments: str) -> "subprocess.CompletedProcess[str]":
        line = [*started, cluster.python, *one, *arguments.split()]
        return subprocess.run(
            line, cwd=cluster.here, env=environment, capture_output=True, text=True, check=False
        )

    done = run("srun", "--nodes=2", "--ntasks=2", arguments="ranks=1 nodes=2")
    assert done.returncode == 0, done.stderr
    assert len(stamps(cluster.here)) == 1
    done = run("srun", "--nodes=1", "--ntasks=2", arguments="ranks=2 seed=1")
    assert done.returncode == 0, done.stderr
    done = run("srun", "--nodes=1", "--ntasks=2", arguments="ranks=3 seed=2")
    assert done.returncode == 2
    assert {line for line in done.stderr.splitlines() if line.startswith("harness:")} == {
        "harness: 2 processes were started on 1 machine, and ranks=3 nodes=1 asks for 3 on each of 1: "
        "srun --nodes=1 --ntasks-per-node=3"
    }


@pytest.mark.parametrize("way", ["scancel", "srun"])
def test_ctrl_c_on_ranks_of_two_nodes_loses_nothing(cluster: Cluster, way: str) -> None:
    """By `scancel --signal=INT` all ranks end their image first; srun itself, on Ctrl-C, has SLURM kill them."""
    line = [
        "srun", "--nodes=2", "--ntasks=2", cluster.python, "-m", "harness", "ranks=1", "nodes=2", "attack=dlg",
        "attack.steps=60", "attack.slots=1", "trials=40", "logger=none", "model=lenet",
    ]  # fmt: skip
    environment = {**cluster.environment, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "18766"}

    def start() -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        return subprocess.Popen(line, cwd=cluster.here, env=environment, stdout=pipe, stderr=pipe, text=True)

    started = start()
    wait(lambda: cluster.at_work() >= 2, 120)
    if way == "scancel":
        (job,) = cluster.jobs()
        cluster.ask("scancel", "--signal=INT", job)
    else:
        started.send_signal(signal.SIGINT)
        time.sleep(0.3)
        started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=120)
    assert started.returncode == {"scancel": 130, "srun": 137}[way], said
    assert "Traceback" not in said
    assert ("goes on where this one stopped" in said) == (way == "scancel")
    assert 2 <= cluster.at_work() < 40
    wait(lambda: not cluster.jobs())
    again = start()
    _, said = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert cluster.at_work() == 40
    assert not list(cluster.here.glob("runs/*/.lease*"))
