"""The store of runs: one folder each, written once (harness/store/recording.py) and read by all else."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from harness.base.errors import note
from harness.base.files import shown as shown_path
from harness.base.statistics import statistic
from harness.core import Record
from harness.core.columns import NAMES
from harness.store.frames import finished, frame
from harness.store.iterates import LAST, Report, shown
from harness.store.journal import damaged, decode
from harness.store.lease import EXPIRY, Holder, holder
from harness.store.published import PUBLISHED, blank
from harness.store.recording import Row as Row
from harness.store.recording import Run as Run
from harness.store.recording import Trace as Trace

if TYPE_CHECKING:
    import pandas

MARK = "identity.json"
"""The file in a run's directory that says what it is, and by its being there that its id is of today's scheme."""


def summarise(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean, std, 95 % interval and n of every measured column, and how often each status occurred.

    Repetitions of one target count as one group for the interval. A column without any value is None.
    """
    targets = [row.get("target", (row.get("problem"), row.get("image"))) for row in rows]
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
        directory = self.root / identity
        if not self.has(identity):
            return None
        try:
            return _read(directory)
        except (OSError, ValueError, TypeError) as error:
            raise damaged(directory, error) from error

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
        return (self.root / identity / "result.json").exists()

    def holder(self, identity: str) -> Holder | None:
        """The process that is writing a run; None: nobody is."""
        return holder(self.root / identity)

    def records(self) -> list[Record]:
        """Every finished run, sorted by id."""
        found = [self.load(identity) for identity in finished(self.root)]
        return [record for record in found if record is not None]

    def images(self, identity: str, report: Report = "best", rows: int | None = None) -> dict[str, Tensor]:
        """The tensors `truth` and `reconstruction` [n, c, h, w] of a finished run, in the rows' order.

        Of an attack on labels alone they are counts of the classes [n, classes].
        Those of a run that was handed on without its pictures are NaN.
        Where the attacker learnt from earlier attacks there is `unclamped` too, in the order of the search. With
        `report` and `rows`, those of the iterate that is shown, and of the first rows alone.
        """
        directory = self.root / identity
        try:
            found = blank(directory) or load_file(str(directory / "reconstructions.safetensors"))
        except (OSError, SafetensorError) as error:
            raise damaged(directory, error) from error
        return {name: tensor[:rows] for name, tensor in shown(found, report).items()}

    def traces(self, identity: str) -> dict[int, Trace]:
        """The course of the loss of a finished run, by problem; empty where the run was handed on without it."""
        if blank(self.root / identity):
            record = self.load(identity)
            return {row["problem"]: [] for row in record.rows} if record else {}
        lines = (self.root / identity / "traces.jsonl").read_text(encoding="utf-8").splitlines()
        return {line["problem"]: line["trace"] for line in map(json.loads, lines)}

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


def _read(directory: Path) -> Record:
    content = json.loads((directory / "result.json").read_text(encoding="utf-8"))
    rows, broken = decode((directory / "rows.jsonl").read_bytes())
    content.pop(PUBLISHED, None)
    record = Record(rows=rows, **content)
    stored = sum(record.summary.get("status", {}).values()) or len(rows)
    if broken or not rows or len(rows) != stored:
        raise ValueError(f"rows.jsonl: {len(rows)} of {stored} rows, {broken} broken lines")
    return record
