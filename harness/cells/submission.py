"""What a command and its workers on a cluster know of each other: a folder in the store, which all of them see."""

import json
import secrets
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from harness.base.files import write_atomically
from harness.store import lease
from harness.store.lease import Lease

FOLDER = ".submissions"
"""In the store, with a folder for each command that has submitted workers."""
JOBS = "jobs.json"


@dataclass
class Submission:
    """The jobs that one command has submitted, and the runs that they share out among them."""

    directory: Path
    runs: frozenset[str]
    jobs: list[str] = field(default_factory=list)
    needed: bool = False
    """Whether jobs outlive their command, and look at it."""

    @property
    def stop(self) -> Path:
        """The file that asks the workers to stop."""
        return self.directory / "stop"

    @property
    def orphaned(self) -> bool:
        """Whether the command that submitted the jobs is no more."""
        return lease.holder(self.directory) is None

    def add(self, jobs: Collection[str]) -> None:
        """Keep what was submitted, for commands that join later."""
        self.jobs += jobs
        content = {"jobs": self.jobs, "runs": sorted(self.runs)}
        write_atomically(self.directory / JOBS, json.dumps(content).encode())

    def remove(self) -> None:
        """Forget it, when none of its jobs is left."""
        shutil.rmtree(self.directory, ignore_errors=True)
        with suppress(OSError):  # others are there
            self.directory.parent.rmdir()


@contextmanager
def opened(store: Path, runs: Collection[str]) -> Iterator[Submission]:
    """A submission of this command's own, which counts as orphaned when the command has died."""
    directory = store / FOLDER / secrets.token_hex(6)
    directory.mkdir(parents=True)
    held = Lease(directory)
    submission = Submission(directory, frozenset(runs))
    submission.add(())
    try:
        yield submission
    finally:
        held.end()
        if not submission.needed:
            submission.remove()


def others(store: Path, own: Submission) -> list[Submission]:
    """The submissions of other commands. One that can't be read is passed over: its jobs are not known."""
    found = []
    for path in sorted((store / FOLDER).glob(f"*/{JOBS}")):
        if path.parent == own.directory:
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            runs, jobs = frozenset(content["runs"]), [str(job) for job in content["jobs"]]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        found.append(Submission(path.parent, runs, jobs))
    return found
