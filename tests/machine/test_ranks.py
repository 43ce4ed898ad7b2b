"""Several ranks find what one process finds, and what they had stored when they were killed stays."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from multiprocessing.util import Finalize
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from harness.config.composition import compose
from harness.core import UserError
from harness.machine.ranks import Group
from harness.runs.run import run, run_together
from harness.store.records import Store

LIGHT = (
    "logger=csv",
    "trials=4",
    "attack=idlg",
    "attack.steps=2",
    "attack.tolerance=50",
    "attack.engine=loop",
)
STARTS = ("random", "feedback")


def rows(folder: Path, identity: str) -> list[dict[str, object]]:
    """What a run has stored, less how long it took."""
    record = Store(folder).load(identity)
    assert record is not None
    return [{name: value for name, value in row.items() if name != "seconds"} for row in record.rows]


def test_two_ranks_find_what_one_process_finds(tmp_path: Path) -> None:
    """Two runs side by side, one of which must stay with one rank, for it learns."""
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, ranks in ((one, 1), (two, 2)):
        run_together(
            [compose(*LIGHT, f"start={s}", f"ranks={ranks}", f"paths.runs={folder}") for s in STARTS]
        )
    assert len(Store(one).records()) == len(STARTS)
    for record in Store(one).records():
        assert rows(two, record.id) == rows(one, record.id)
        images = [Store(folder).images(record.id) for folder in (one, two)]
        assert all(images[0][name].equal(images[1][name]) for name in images[0])
        files = [{path.name for path in (folder / record.id).iterdir()} for folder in (one, two)]
        assert files[0] == files[1]
        logs = [(folder / record.id / "images.csv").read_text().splitlines() for folder in (one, two)]
        assert len(logs[0]) == len(logs[1]) == 1 + len(record.rows)


def test_ranks_leave_each_other_before_they_end(tmp_path: Path) -> None:
    """A process that ends as a member of a group is aborted by gloo's threads now and then (torch issue 190489)."""
    Group(2, 1, "cpu").launch(partial(ends, tmp_path))
    assert {path.read_text() for path in tmp_path.iterdir()} == {"left"}
    assert len(list(tmp_path.iterdir())) == 2


def ends(folder: Path, fabric: Fabric) -> None:
    fabric.barrier()
    Finalize(None, tell, args=(folder / str(fabric.global_rank),), exitpriority=0)


def tell(path: Path) -> None:
    path.write_text("member" if torch.distributed.is_initialized() else "left")


@pytest.mark.parametrize(
    ("override", "message"),
    [("nodes=2", "torchrun or SLURM"), ("device=cuda", "no usable GPU"), ("ranks=0", "ranks")],
)
def test_ranks_that_can_not_be_had_are_a_user_error(override: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        run(compose("logger=none", "ranks=2", override, f"paths.runs={tmp_path}"))


def test_ranks_are_no_part_of_what_identifies_a_run() -> None:
    assert compose("ranks=2", "nodes=3").id == compose().id


@pytest.mark.slow
def test_killed_ranks_go_on_in_one_process(tmp_path: Path) -> None:
    """SIGKILL of the process that leads ends the others too, and costs only what was not yet stored."""
    long = (*LIGHT[:2], "attack=idlg", "attack.steps=5", "attack.tolerance=1e-30", "trials=8")
    command = [sys.executable, "-m", "harness", *long, "ranks=2", f"paths.runs={tmp_path / 'two'}"]
    identity = compose(*long).id
    process = subprocess.Popen(command)
    shards = tmp_path / "two" / identity
    while process.poll() is None and not any(path.stat().st_size for path in shards.glob("rows.*.jsonl")):
        time.sleep(0.05)
    assert process.poll() is None, "it was over before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    run(compose(*long, f"paths.runs={tmp_path / 'one'}"))
    run(compose(*long, f"paths.runs={tmp_path / 'two'}"))
    assert rows(tmp_path / "two", identity) == rows(tmp_path / "one", identity)


@pytest.mark.slow
def test_ranks_that_torchrun_starts(tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "harness"]
    subprocess.run([*torchrun, *LIGHT, "ranks=2", f"paths.runs={tmp_path / 'two'}"], check=True)
    record = run(compose(*LIGHT, f"paths.runs={tmp_path / 'one'}"))
    assert rows(tmp_path / "two", record.id) == rows(tmp_path / "one", record.id)


@pytest.mark.slow
def test_ctrl_c_on_one_node_stops_all(tmp_path: Path) -> None:
    """Two agents of torchrun, each with a temporary folder of its own: the request goes by the store."""
    long = (*LIGHT[:1], "trials=60", "attack=ig", "attack.steps=200", "attack.slots=1", "model=lenet")
    agents = []
    for node in (0, 1):
        (tmp_path / f"node{node}").mkdir()
        command = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
        command += [f"--node-rank={node}", "--master-addr=127.0.0.1", "--master-port=18799", "-m", "harness"]
        environment = os.environ | {"TMPDIR": str(tmp_path / f"node{node}")}
        line = [*command, *long, "nodes=2", f"paths.runs={tmp_path / 'runs'}"]
        agents.append(
            subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
        )
    shards = tmp_path / "runs" / compose(*long).id
    while not any(path.stat().st_size for path in shards.glob("rows.*.jsonl")):
        assert all(agent.poll() is None for agent in agents)
        time.sleep(0.05)
    os.killpg(agents[0].pid, signal.SIGINT)
    said = [agent.communicate(timeout=120)[1] for agent in agents]
    assert all("harness: interrupted: the same command goes on" in each for each in said), said
    assert "an error of the harness's own" not in "".join(said)
    assert len(run(compose(*long, "trials=4", f"paths.runs={tmp_path / 'runs'}")).rows) == 4
