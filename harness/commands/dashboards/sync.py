"""Send the W&B runs that the server has not got whole: `make wandb-sync`. Said again, it sends what is new since."""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.base.command import answered, expanded
from harness.base.errors import UserError


@dataclass
class Logs:
    """The folders that W&B logged to, one for each process that worked on a run, the oldest first."""

    sent: list[Path] = field(default_factory=list)
    ready: list[Path] = field(default_factory=list)
    """Of finished runs, and not sent."""
    unfinished: list[Path] = field(default_factory=list)
    """Of runs that are at work or were interrupted: sent now, what is still to come would never be sent."""


def find(runs: Path) -> Logs:
    """What was logged below a directory of runs."""
    logs = Logs()
    folders = [*(runs / "wandb").glob("offline-run-*"), *(runs / "wandb").glob("run-*")]
    for folder in sorted(folders, key=lambda folder: folder.name.removeprefix("offline-")):
        identity = folder.name.rpartition("-")[2]
        if any(folder.glob("*.wandb.synced")):
            logs.sent.append(folder)
        elif (runs / identity / "result.json").exists():
            logs.ready.append(folder)
        else:
            logs.unfinished.append(folder)
    return logs


def sync(runs: Path) -> str:
    """Send what is ready, and say what became of everything. Raises UserError when nothing can be sent."""
    logs = find(runs)
    rest = f"{len(logs.sent)} were sent before" + (
        f", {len(logs.unfinished)} belong to unfinished runs and wait" if logs.unfinished else ""
    )
    if not logs.ready:
        return f"nothing to send from {runs / 'wandb'}: {rest}"
    from harness.loggers.wandb_server import obstacle

    if why := obstacle():
        raise UserError(f"{len(logs.ready)} logs are ready and stay in {runs / 'wandb'}: {why}")
    send(logs.ready)
    missed = [folder for folder in logs.ready if folder not in find(runs).sent]
    if missed:
        raise UserError(f"{len(missed)} of {len(logs.ready)} logs were not sent: say the same command again")
    return f"sent {len(logs.ready)} logs; {rest}"


def send(folders: Sequence[Path]) -> None:
    """Hand the folders to W&B's own command, which marks each that the server has whole."""
    wandb = Path(sys.executable).with_name("wandb")
    subprocess.run([str(wandb), "sync", "--include-online", *map(str, folders)], check=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit status 2 for a user error."""
    parser = argparse.ArgumentParser(prog="harness sync", description=__doc__)
    parser.add_argument("--runs", type=expanded, default=Path("runs"))
    options = parser.parse_args(arguments)
    return answered(lambda: print(sync(options.runs)))
