"""Fill in scores that finished runs lack, such as LPIPS without its weights: `harness rescore runs/ID`.

What was measured stays as it is, in the record; W&B's log of the run stays as it is altogether.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from harness.base.command import expanded
from harness.base.files import write_atomically
from harness.base.rows import Row
from harness.commands.causes import changed
from harness.commands.main import guarded
from harness.commands.verify import CLOSE, apart, stored
from harness.core import Batch, Record, UserError
from harness.metrics.scores import NO_MODEL, Scores
from harness.store.integrity import IMAGES, RESULT, ROWS, Damaged, StoredRun, digest, dump, seals
from harness.store.journal import encode
from harness.store.published import absent


def rescore(directory: Path) -> bool:
    """Score a run's stored images again; whether what was measured agrees. Says on stdout what it has filled in.

    Raises UserError when there is no such run, or it can't be read.
    """
    record, scores = _opened(directory)
    fresh = [*_scored(directory, record.rows, scores)]
    filled = [_filled(row, new) for row, new in zip(record.rows, fresh, strict=True)]
    columns = sorted(
        {name for row, new in zip(record.rows, filled, strict=True) for name in _differing(row, new)}
    )
    if columns:
        _write(directory, record, filled, columns)
    print(f"{directory}: {'filled in ' + ', '.join(columns) if columns else 'nothing to fill in'}")
    for name, metric in scores.metrics.items():
        if metric.needs_model and any(_lacks(row, name) for row in record.rows):
            print(f"{directory}: {name} is left out: it needs the attacked network")
    off = sorted({name for row, new in zip(record.rows, fresh, strict=True) for name in _off(row, new)})
    if off:
        print(f"{directory}: DIFFERS, and was left as it was measured: {', '.join(off)}")
    return not off


def _opened(directory: Path) -> tuple[Record, Scores]:
    """A run's record, and its metrics as they were configured."""
    from harness.config.composition import restore
    from harness.config.execution import Paths

    record, config = stored(directory)
    if changes := changed(config, record.config):
        raise UserError(f"{directory / 'config.yaml'} is not what was run: {', '.join(changes[:3])}")
    experiment = restore(config, None, Paths())
    if not experiment.attack.reconstructs_images:
        raise UserError(f"{directory} has no images to score: its attack infers labels alone")
    return record, experiment.metric


def _scored(directory: Path, rows: Sequence[Row], scores: Scores) -> Iterator[Row]:
    """What every row's images score, problem by problem as in the run; nothing where the attack has failed."""
    import torch

    from harness.store.records import Store

    images = Store(directory.parent).images(directory.name)
    truth, found = images["truth"], images["reconstruction"]
    if len(truth) != len(rows):
        raise Damaged(directory, IMAGES, f"{len(truth)} images, {len(rows)} rows")
    metrics = {name: metric for name, metric in scores.metrics.items() if not metric.needs_model}
    places = range(len(rows))
    for _, group in groupby(places, key=lambda place: rows[place]["problem"]):
        at = [*group]
        if rows[at[0]]["status"] == "failed" or absent(truth[at]):
            yield from ({} for _ in at)
            continue
        labels = torch.tensor([rows[place]["label"] for place in at])
        pair = Batch(found[at], labels), Batch(truth[at], labels)
        values = {name: metric(*pair, NO_MODEL, {}) for name, metric in metrics.items()}
        values["success"] = scores.success(values.get(scores.success_metric))
        had = {name: value.tolist() for name, value in values.items() if value is not None}
        yield from ({name: column[i] for name, column in had.items()} for i in range(len(at)))


def _lacks(row: Row, name: str) -> bool:
    return row["status"] != "failed" and row.get(name) is None


def _filled(row: Row, new: Row) -> Row:
    """The row, with what it lacks and what can be measured now."""
    return row | {name: value for name, value in new.items() if _lacks(row, name) and math.isfinite(value)}


def _differing(row: Row, new: Row) -> list[str]:
    return [name for name, value in new.items() if value != row.get(name)]


def _off(row: Row, new: Row) -> list[str]:
    """The columns that were measured, and would be another number now."""
    measured = {name: value for name, value in new.items() if row.get(name) is not None}
    return [name for name, value in measured.items() if apart(row[name], value)[1] > CLOSE]


def _write(directory: Path, record: Record, rows: list[Row], columns: list[str]) -> None:
    """The summary first: if the process dies before the rows are there, the same command fills them in again.

    Until they are there, the old ones are as good as the new.
    """
    import torch

    from harness.store.provenance import provenance
    from harness.store.records import summarise

    origin = provenance(torch.device("cpu"))
    note = {"columns": columns, "git": origin["git"], "versions": origin["versions"]}
    notes = [*record.provenance.get("rescored", []), note]
    stored, text = StoredRun.open(directory), encode(rows)
    told = record.provenance | {"rescored": notes}
    result = {**stored.content, "summary": summarise(rows), "provenance": told}
    files = dict(seals(directory) if stored.files is None else stored.files)
    under_way = files | {ROWS: f"{files[ROWS]} {digest(text)}"}
    write_atomically(directory / RESULT, dump(result, under_way))
    write_atomically(directory / ROWS, text)
    write_atomically(directory / RESULT, dump(result, files | {ROWS: digest(text)}))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit status 0, 1 when a number that was measured would be another now, 2 for a user error."""
    parser = argparse.ArgumentParser(prog="harness rescore", description=(__doc__ or "").split(":")[0])
    parser.add_argument(
        "runs", nargs="+", type=expanded, help="directories of finished runs, like runs/0123456789ab"
    )
    options = parser.parse_args(arguments)
    agree: list[bool] = []
    status = guarded(lambda: agree.extend(rescore(run) for run in options.runs))
    return status or int(not all(agree))
