"""Bring the finished runs of another store into this one: `harness merge OTHER`, a folder of runs or a runs.tar.xz.

Ids are content: what both have is the same run. Of two that with more targets stays, and of as many
that with pictures; pictures are never given up for targets without.
"""

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.base.command import answered, expanded
from harness.base.errors import UserError
from harness.base.files import write_atomically
from harness.store.frames import finished
from harness.store.integrity import RESULT
from harness.store.lease import Lease
from harness.store.published import blank, put, unpack
from harness.store.records import Store

COPIED, MORE, HERE, KEPT = "copied", "replaced by theirs, which have more", "here already", "left"
LEFT_OUT = ("error.log", "before.json")


def merge(other: Path, root: Path) -> Iterator[str]:
    """Copy what is missing here, or has less; a line for each run that was left, and one for all.

    Raises UserError where there are no runs.
    """
    done: Counter[str] = Counter()
    with _store(other) as theirs:
        if not (found := finished(theirs.root)):
            raise UserError(f"no finished runs in {other}")
        for identity in found:
            try:
                became = _bring(theirs, Store(root), identity)
            except UserError as obstacle:
                became = KEPT
                yield f"{identity}: {KEPT}: {obstacle}"
            done[became] += 1
    yield f"{root}: " + ", ".join(f"{count} {became}" for became, count in done.items())


@contextmanager
def _store(other: Path) -> Iterator[Store]:
    """A folder of runs as it is, an archive unpacked for the while."""
    if not other.is_file():
        yield Store(other)
        return
    with tempfile.TemporaryDirectory() as folder:
        for identity, files in unpack(other).items():
            put(Path(folder, identity), files)
        yield Store(Path(folder))


def _bring(theirs: Store, ours: Store, identity: str) -> str:
    """What became of a run of theirs. Raises UserError where it is damaged, or a process is at ours."""
    found, had = worth(theirs, identity), worth(ours, identity)
    assert found is not None
    if had is not None and found <= had:
        return HERE
    if had is not None and had[1] and not found[1]:
        raise UserError(f"theirs has {found[0]} targets without pictures, ours {had[0]} with them")
    _copy(theirs.root / identity, ours.root / identity)
    return COPIED if had is None else MORE


def worth(store: Store, identity: str) -> tuple[int, bool] | None:
    """How many targets a finished run has, and whether it has their pictures; None: it is not finished."""
    record = store.load(identity)
    if record is None:
        return None
    return len({row["problem"] for row in record.rows}), not blank(store.stored(identity))


def _copy(source: Path, target: Path) -> None:
    """The result last: before it is there, the run is not finished."""
    target.mkdir(parents=True, exist_ok=True)
    lease = Lease(target)
    try:
        (target / RESULT).unlink(missing_ok=True)
        shutil.rmtree(target / "parts", ignore_errors=True)
        files = [path for path in source.iterdir() if path.is_file() and not path.name.startswith(".")]
        for path in sorted(files, key=lambda path: path.name == RESULT):
            if path.name not in LEFT_OUT:
                write_atomically(target / path.name, path.read_bytes())
    finally:
        lease.end()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit status 2 for a user error."""
    parser = argparse.ArgumentParser(prog="harness merge", description=(__doc__ or "").split(":")[0])
    parser.add_argument(
        "other", type=expanded, help="a folder of runs, or the runs.tar.xz of a published table"
    )
    parser.add_argument("--runs", type=expanded, default=Path("runs"), help="the store that they go to")
    options = parser.parse_args(arguments)

    def command() -> None:
        for line in merge(options.other, options.runs):
            print(line, flush=True)

    return answered(command)


if __name__ == "__main__":
    sys.exit(main())
