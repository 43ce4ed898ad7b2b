"""A real cluster of two nodes, and the command line as its users give it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cells.test_kill import stored
from tests.command import stamps
from tests.commands.test_main import clean_environment
from tests.tables.test_sweep import TOY, write

SCRIPT = Path(__file__).with_name("two-nodes")
SLOW = {"One": ["attack=ig", "attack.steps=60"], "Two": ["attack=ig", "attack.steps=50"]}
"""Rows whose images come one by one, a few a second."""


def wait(condition: Callable[[], object], seconds: float = 60) -> None:
    """Until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it has not come to it"
        time.sleep(0.1)


@dataclass
class Cluster:
    """Where commands are given, and what they are told."""

    folder: Path
    here: Path
    environment: dict[str, str]
    python: str = sys.executable

    def ask(self, *command: str) -> str:
        """What one of SLURM's commands says."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True)
        return done.stdout

    def jobs(self, *states: str) -> list[str]:
        """The ids of the jobs in the queue, or of those in some states."""
        lines = [
            line.split()
            for line in self.ask("squeue", "--noheader", "--array", "--format=%i %T").splitlines()
        ]
        return [job for job, state in lines if state in (states or (state,)) and state != "COMPLETING"]

    def worker(self, job: str) -> int:
        """The process of a worker."""
        for path in Path("/proc").glob("[0-9]*"):
            try:
                arguments, variables = (path / "cmdline").read_text(), (path / "environ").read_text()
            except OSError:
                continue
            array, _, task = job.partition("_")
            said = (
                f"SLURM_ARRAY_JOB_ID={array}\0" in variables and f"SLURM_ARRAY_TASK_ID={task}\0" in variables
            )
            if "submitit.core._submit" in arguments and "python" in arguments.split("\0")[0] and said:
                return int(path.name)
        raise LookupError(job)

    def start(self, *arguments: str, workers: int = 2) -> "subprocess.Popen[str]":
        """The toy table by so many workers."""
        line = [
            sys.executable, "-m", "harness", "--config-dir", "own", "table=toy", "hydra/launcher=submitit_slurm",
            "hydra.launcher.timeout_min=30", f"hydra.launcher.array_parallelism={workers}", *arguments,
        ]  # fmt: skip
        pipe = subprocess.PIPE
        return subprocess.Popen(
            line, cwd=self.here, env=self.environment, stdout=pipe, stderr=pipe, text=True
        )

    def end(self, front: "subprocess.Popen[str]", status: int, seconds: float = 120) -> str:
        """Wait for a command. Returns what it said on stderr, which holds neither a traceback nor a warning."""
        try:
            out, err = front.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            front.kill()
            out, err = front.communicate()
            raise AssertionError(f"it did not end: {out}{err}") from None
        assert front.returncode == status, out + err
        assert "Traceback" not in err
        assert "warning" not in err.replace("warning: LPIPS", "")
        return err

    def at_work(self) -> int:
        """How many images are stored."""
        return len(stored(self.here))

    def check_whole(self, cells: int) -> None:
        """Every cell is there, no image stands twice, nothing is left behind."""
        assert len(stamps(self.here)) == cells
        stored(self.here)
        wait(lambda: not self.jobs())
        assert not list(self.here.glob("runs/*/.lease*")), "a lease was left behind"
        assert not (self.here / "runs" / ".submissions").exists()


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cluster that runs, or the test is skipped: it takes root and Debian's packages."""
    folder = tmp_path_factory.mktemp("cluster")
    started = subprocess.run([SCRIPT, "start", folder], capture_output=True, text=True, check=False)
    if started.returncode:
        pytest.skip(started.stderr.strip().splitlines()[-1])
    yield folder
    subprocess.run([SCRIPT, "stop", folder], check=True)


@pytest.fixture
def cluster(nodes: Path, tmp_path: Path) -> Iterator[Cluster]:
    """The cluster with an empty queue, and a folder with a table that takes a while."""
    write(tmp_path / "own", base=[*TOY["base"], "trials=8", "attack.slots=1"], rows=SLOW)
    environment = clean_environment() | {
        "SLURM_CONF": str(nodes / "slurm.conf"),
        "TMPDIR": str(nodes / "front"),
    }
    found = Cluster(nodes, tmp_path, environment)
    yield found
    subprocess.run(["scancel", f"--user={os.getuid()}", "--signal=KILL"], env=environment, check=False)
    subprocess.run(["scancel", f"--user={os.getuid()}"], env=environment, check=False)
    wait(lambda: not found.ask("squeue", "--noheader"))
