"""Carry stored runs out again, and hold what comes out against their records: `harness verify runs/ID`."""

import argparse
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from harness.base.command import expanded
from harness.base.errors import nearest
from harness.commands.causes import another, changed, reasons
from harness.commands.main import guarded
from harness.core import Record, UserError
from harness.store.integrity import CONFIG, Damaged, StoredRun, reading
from harness.store.published import PUBLISHED

if TYPE_CHECKING:
    from torch import Tensor

CLOSE = 1e-6
"""Numbers whose difference, relative to the larger one or to 1, is less agree: another machine's rounding does that."""
TIMES = frozenset({"seconds", "gate_seconds"})
VERDICTS = ("bit-identical", f"agrees within {CLOSE:g}", "DIFFERS")


@dataclass(frozen=True)
class Difference:
    """A column of the rows, and the largest difference in it: 0, a number, or infinity for what is no number."""

    column: str
    largest: float
    relative: float
    measured: bool = True
    """Whether both have numbers; LPIPS has none where its weights were missing."""

    @property
    def verdict(self) -> str:
        if not self.measured:
            return "not compared: one of the two has no numbers"
        return VERDICTS[(self.largest > 0) + (self.relative > CLOSE)]


def verify(directory: Path, root: str | None) -> bool:
    """Whether a run gives its own numbers and pictures again; says on stdout how far each is off, and why.

    `root` is where the data are. Writes nothing there. Raises UserError when there is no such run.
    """
    try:
        record, config = stored(directory)
        before = StoredRun.open(directory)
        before.check()
    except Damaged as damage:
        print(f"{directory}: DIFFERS: damage: {damage.why}")
        return False
    if before.files is None:
        print(f"{directory}: not sealed: it is from before files had digests")
    if before.files is None and (changes := changed(config, record.config)):
        print(f"{directory}: DIFFERS: damage: config.yaml is not what was run: {', '.join(changes[:3])}")
        return False
    with tempfile.TemporaryDirectory() as folder:
        found = _again(before, record, config, root, Path(folder))
    if isinstance(found, str):
        print(f"{directory}: DIFFERS: {found}")
        return False
    worst = max(found, key=lambda each: (each.relative, each.largest))
    for each in found:
        print(f"  {each.column:24} {each.largest:<12.3g} {each.verdict}")
    why = f"; {reasons(record.provenance)}" if worst.largest else ""
    pictures = ", pictures not published" if before.content.get(PUBLISHED) else ""
    print(f"{directory}: {worst.verdict}: {len(record.rows)} rows, {len(found)} columns{pictures}{why}")
    return worst.relative <= CLOSE


def stored(directory: Path) -> tuple[Record, dict[str, Any]]:
    """A run's record and its config.yaml. Raises UserError when either is not there, Damaged when it can't be read."""
    from harness.store.records import Store

    record = Store(directory.parent).load(directory.name)
    if record is None:
        known = [path.parent.name for path in directory.parent.glob("*/result.json")]
        raise UserError(f"{directory} is no finished run{nearest(directory.name, known)}")
    content = StoredRun.open(directory).read(CONFIG)
    with reading(directory, CONFIG):
        config = yaml.safe_load(content)
        if not isinstance(config, dict):
            raise ValueError("it holds no settings")
    return record, config


def _again(
    before: StoredRun, record: Record, config: Mapping[str, Any], root: str | None, folder: Path
) -> list[Difference] | str:
    """How far off the same run is, carried out in another folder; or why it is not the same run any more."""
    from harness.config.composition import restore
    from harness.config.execution import Paths
    from harness.runs.run import run
    from harness.store.contents import images
    from harness.store.records import Store

    experiment = restore(config, root, Paths(runs=folder, results=folder))
    if experiment.id != before.directory.name:
        return another(before, experiment)
    priors = before.directory.parent / "priors"
    if experiment.attack.requires_prior and priors.is_dir():
        shutil.copytree(priors, folder / "priors")
    found = compare(record, run(experiment))
    if before.content.get(PUBLISHED):
        return found
    return found + compare_images(images(before), Store(folder).images(experiment.id))


def compare(record: Record, again: Record) -> list[Difference]:
    """Every column but the times, the number of rows, and the summary that the record gives of its rows."""
    from harness.store.records import summarise

    columns = list({name: None for row in [*record.rows, *again.rows] for name in row if name not in TIMES})
    found = [Difference("rows", float(abs(len(record.rows) - len(again.rows))), math.inf)]
    if len(record.rows) == len(again.rows):
        found = [_column(name, record.rows, again.rows) for name in columns]
    if record.summary and _numbers(record.summary) != _numbers(summarise(record.rows)):
        found.append(Difference("summary (not of the rows)", math.inf, math.inf))
    return found


def compare_images(before: Mapping[str, "Tensor"], after: Mapping[str, "Tensor"]) -> list[Difference]:
    """Every tensor [n, ...] that both runs have, pixel by pixel; infinity where they have others."""
    names = sorted(before.keys() | after.keys())
    return [_pixels(f"pictures: {name}", before.get(name), after.get(name)) for name in names]


def _pixels(name: str, before: "Tensor | None", after: "Tensor | None") -> Difference:
    if before is None or after is None or before.shape != after.shape:
        return Difference(name, math.inf, math.inf)
    apart = (before - after)[(before != after) & ~(before.isnan() & after.isnan())]
    largest = float(apart.abs().nan_to_num(math.inf, math.inf).max()) if len(apart) else 0.0
    return Difference(name, largest, largest)


def _numbers(summary: Mapping[str, Any]) -> str:
    """Without its intervals, which earlier versions drew from single images."""
    from harness.base.files import to_json

    return to_json({name: found | {"ci95": None} if found else found for name, found in summary.items()})


def _column(name: str, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> Difference:
    pairs = [(one.get(name), other.get(name)) for one, other in zip(before, after, strict=True)]
    if sum(all(pair[side] is None for pair in pairs) for side in (0, 1)) == 1:
        return Difference(name, 0.0, 0.0, measured=False)
    found = [apart(one, other) for one, other in pairs]
    return Difference(name, max(a for a, _ in found), max(r for _, r in found))


def apart(one: Any, other: Any) -> tuple[float, float]:
    """The absolute and the relative difference of two values of a column."""
    if one == other:
        return 0.0, 0.0
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in (one, other)):
        return math.inf, math.inf
    return abs(one - other), abs(one - other) / max(1.0, abs(one), abs(other))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit status 0 when all agree, 1 when one does not, 2 for a user error."""
    parser = argparse.ArgumentParser(prog="harness verify", description=(__doc__ or "").split(":")[0])
    parser.add_argument(
        "runs", nargs="+", type=expanded, help="directories of finished runs, like runs/0123456789ab"
    )
    parser.add_argument("--data", help="where the data sets are; default: $HARNESS_DATA")
    options = parser.parse_args(arguments)
    verdicts: list[bool] = []

    def command(run: Path) -> None:
        verdicts.append(verify(run, options.data))

    status = max([guarded(partial(command, run)) for run in options.runs])
    return status or int(not all(verdicts))
