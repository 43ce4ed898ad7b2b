"""The store of runs: one folder each, written once (harness/store/recording.py) and read by all else."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from harness.base.errors import note, omit
from harness.base.files import shown as shown_path
from harness.base.statistics import statistic
from harness.core import Record
from harness.core.columns import NAMES
from harness.store import contents
from harness.store.frames import finished, frame, updates
from harness.store.integrity import MARK as MARK
from harness.store.integrity import RESULT, Damaged, StoredRun
from harness.store.iterates import LAST, Report, shown
from harness.store.lease import EXPIRY, Holder, holder, tidy
from harness.store.recording import Run as Run
from harness.store.recording import Trace as Trace

if TYPE_CHECKING:
    import pandas


def summarise(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean, std, 95 % interval and n of every measured column, and how often each status occurred.

    The images of one update, and its repetitions, count as one group for the interval. A column without any value is
    None.
    """
    targets = updates([("", row.get("problem")) for row in rows], [row.get("target") for row in rows])
    summary: dict[str, Any] = {}
    for name in {key: None for row in rows for key in row if key.removesuffix(LAST) not in NAMES}:
        values = [row.get(name) for row in rows]
        if all(value is None or isinstance(value, int | float) for value in values):
            found = statistic(values, targets)
            summary[name] = found and {
                "mean": found.mean,
                "std": found.std,
                "ci95": None if found.low is None else [found.low, found.high],
                "n": found.n,
            }
    statuses = [row["status"] for row in rows if "status" in row]
    summary["status"] = {status: statuses.count(status) for status in sorted(set(statuses))}
    return summary


class Store:
    """A directory of runs, one folder each, named by the run's id."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def load(self, identity: str) -> Record | None:
        """The record of a finished run; None when it is not finished or was never begun.

        Raises UserError when its files are damaged.
        """
        if not self.has(identity):
            return None
        stored = self.stored(identity)
        content = {name: stored.content[name] for name in ("id", "config", "summary", "provenance")}
        return Record(rows=stored.rows(), **content)

    def stored(self, identity: str) -> StoredRun:
        """A finished run as it lies on disk. Raises Damaged."""
        return StoredRun.open(self.root / identity)

    def open(
        self,
        identity: str,
        config: Mapping[str, Any],
        expiry: float = EXPIRY,
        answered: Callable[[], bool] = lambda: True,
    ) -> Run:
        """Begin a run, or go on with one that was interrupted, or that is finished but not yet `answered` by that.

        `expiry`: seconds after which a lease expires. Raises Held when another process is writing the same run,
        ValueError when there is nothing to do.
        """
        if self.has(identity) and answered():
            raise ValueError(f"run {identity} is finished: load it")
        return Run(self.root / identity, config, expiry, answered)

    def has(self, identity: str) -> bool:
        """Whether a run is finished."""
        return os.path.lexists(self.root / identity / RESULT)

    def holder(self, identity: str) -> Holder | None:
        """The process that is writing a run; None: nobody is."""
        return holder(self.root / identity)

    def tidy(self, identity: str) -> None:
        """Clear what a process left in a finished run that died on its last steps."""
        if self.has(identity):
            tidy(self.root / identity)

    def records(self) -> list[Record]:
        """Every finished run, sorted by id. Those that are damaged are left out, and said."""
        return [record for identity in finished(self.root) if (record := self._whole(identity)) is not None]

    def _whole(self, identity: str) -> Record | None:
        try:
            return self.load(identity)
        except Damaged as damage:
            omit(str(damage))
            return None

    def images(self, identity: str, report: Report = "best", rows: int | None = None) -> dict[str, Tensor]:
        """The tensors `truth` and `reconstruction` [n, c, h, w] of a finished run, in the rows' order.

        Of an attack on labels alone they are counts of the classes [n, classes].
        Those of a run that was handed on without its pictures are NaN.
        Where the attacker learnt from earlier attacks there is `unclamped` too, and of a search through a generator
        `latent` [n, k] (NaN where a run is from before that was kept), in the order of the search. With
        `report` and `rows`, those of the iterate that is shown, and of the first rows alone.
        """
        found = contents.images(self.stored(identity))
        return {name: tensor[:rows] for name, tensor in shown(found, report).items()}

    def traces(self, identity: str) -> dict[int, Trace]:
        """The course of the loss of a finished run, by problem; empty where the run was handed on without it.

        Raises Damaged.
        """
        return contents.traces(self.stored(identity))

    def frame(self, runs: Iterable[str] | None = None) -> "pandas.DataFrame":
        """One line per image of every finished run, or of those named: its configuration in flat columns, its scores.

        harness/store/frames.py says which columns there are.
        """
        return frame(self.root, runs)


def older(root: Path) -> list[Path]:
    """The finished runs of a store that have no mark of how they were identified: their ids are of an older scheme."""
    return [root / name for name in finished(root) if not (root / name / MARK).exists()]


def hint_older(root: Path) -> None:
    """Say that an older store answers nothing before it is migrated."""
    if found := older(root):
        note(
            f"{len(found)} runs have ids of before, which nothing asks for: `harness migrate {shown_path(root)}`"
        )
