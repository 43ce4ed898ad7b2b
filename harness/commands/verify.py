"""Carry stored runs out again, and hold what comes out against their records: `harness verify runs/ID`."""

import argparse
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.base.command import expanded
from harness.base.errors import nearest
from harness.commands.main import guarded
from harness.core import Record, UserError

CLOSE = 1e-6
"""Numbers whose difference, relative to the larger one or to 1, is less agree: another machine's rounding does that."""
TIMES = frozenset({"seconds"})
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
    """Whether a run gives its own numbers again; says on stdout how far each column is off. Writes nothing there.

    `root` is where the data are. Raises UserError when there is no such run, or its configuration can't be read.
    """
    record, config = stored(directory)
    if changes := changed(config, record.config):
        print(f"{directory}: DIFFERS: config.yaml is not what was run: {', '.join(changes[:3])}")
        return False
    with tempfile.TemporaryDirectory() as folder:
        again = _again(directory, config, root, Path(folder))
    if isinstance(again, str):
        print(f"{directory}: DIFFERS: {again}")
        return False
    found = compare(record, again)
    worst = max(found, key=lambda each: (each.relative, each.largest))
    for each in found:
        print(f"  {each.column:24} {each.largest:<12.3g} {each.verdict}")
    print(f"{directory}: {worst.verdict}: {len(record.rows)} rows, {len(found)} columns")
    return worst.relative <= CLOSE


def stored(directory: Path) -> tuple[Record, dict[str, Any]]:
    """A run's record and its config.yaml. Raises UserError when either is not there or can't be read."""
    from harness.store.records import Store

    record = Store(directory.parent).load(directory.name)
    if record is None:
        known = [path.parent.name for path in directory.parent.glob("*/result.json")]
        raise UserError(f"{directory} is no finished run{nearest(directory.name, known)}")
    try:
        config = yaml.safe_load((directory / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{directory / 'config.yaml'} can't be read: {str(error).splitlines()[0]}") from error
    if not isinstance(config, dict):
        raise UserError(f"{directory / 'config.yaml'} is damaged: it holds no settings")
    return record, config


def changed(config: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """The settings that differ from those that were run, with both values."""
    from harness.store.frames import flatten

    now, then = flatten(config), flatten(before)
    return [
        f"{name} {now.get(name)!r}, was {then.get(name)!r}"
        for name in then | now
        if now.get(name) != then.get(name)
    ]


def _again(directory: Path, config: Mapping[str, Any], root: str | None, folder: Path) -> Record | str:
    """The record of the same run in another folder; or why it is not the same run any more."""
    from harness.config.composition import restore
    from harness.config.execution import Paths
    from harness.runs.run import run
    from harness.store.provenance import revision

    experiment = restore(config, root, Paths(runs=folder, results=folder))
    if experiment.id != directory.name:
        return (
            f"this configuration now has the id {experiment.id}: a component's version or defaults, or the data "
            f"files, are others (the code is at {revision()})"
        )
    if experiment.attack.requires_prior and (directory.parent / "priors").is_dir():
        shutil.copytree(directory.parent / "priors", folder / "priors")
    return run(experiment)


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


def _numbers(summary: Mapping[str, Any]) -> str:
    from harness.base.files import to_json

    return to_json(summary)


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
    status = guarded(lambda: verdicts.extend(verify(run, options.data) for run in options.runs))
    return status or int(not all(verdicts))
