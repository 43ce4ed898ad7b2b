"""What the store says to an experiment: as many targets as it asks for, scored as it asks, by the iterate it reports.

The number of targets, the metrics and the report are no part of a run's id: a run is extended, scored anew and shown
otherwise, never computed twice.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from pydantic import TypeAdapter

from harness.base.errors import note, warn
from harness.base.files import shown as shown_path
from harness.base.files import write_atomically
from harness.base.rows import Row
from harness.config.composition import restore
from harness.config.execution import Paths
from harness.config.experiment import Experiment
from harness.core import Record, UserError
from harness.metrics.scores import Fingerprints, key_of
from harness.runs.scoring import SCORED_BY, score_again
from harness.runs.targets import Targets
from harness.store.integrity import METRICS, Damaged, plain, reading
from harness.store.iterates import shown
from harness.store.published import absent
from harness.store.recording import Run
from harness.store.records import Store, summarise


def wanted(experiment: Experiment) -> int:
    """How many targets an experiment asks for."""
    if experiment.targets is None or experiment.fl.in_rounds:
        return experiment.trials
    return len(experiment.targets) // experiment.fl.examples


def answer(store: Store, experiment: Experiment) -> Record | None:
    """The record of a finished run as far as it is asked for; None where it is not finished, holds fewer targets or
    was scored by other settings. Raises UserError where it is damaged."""
    record = store.load(experiment.id)
    return None if record is None else _answered(record, experiment, wanted(experiment))


def so_far(store: Store, experiment: Experiment) -> Record | None:
    """As `answer`, of as many of the targets as the finished run holds; None where it holds not even the first."""
    record = store.load(experiment.id)
    if record is None:
        return None
    held = {row["problem"] for row in record.rows}
    count = next((place for place in range(wanted(experiment)) if place not in held), wanted(experiment))
    return _answered(record, experiment, count) if count else None


def _answered(record: Record, experiment: Experiment, count: int) -> Record | None:
    if not _answers(record, experiment, count):
        return None
    rows = [shown(row, experiment.report) for row in record.rows if row["problem"] < count]
    if rows == record.rows:
        return record
    return dataclasses.replace(record, rows=rows, summary=summarise(rows))


def _answers(record: Record, experiment: Experiment, count: int) -> bool:
    held = {row["problem"] for row in record.rows}
    scored = not experiment.attack.reconstructs_images or _keys(record) == {experiment.metric.key}
    return scored and held >= set(range(count))


def settled(store: Store, experiment: Experiment) -> bool:
    """Whether nothing is left to be done: there is an answer, or what there is is damaged, which only a user mends."""
    try:
        record = store.load(experiment.id)
    except UserError:
        return True
    return record is not None and _answers(record, experiment, wanted(experiment))


def _keys(record: Record) -> set[str | None]:
    """By which settings the rows were scored; rows that don't say so, by those of their run."""
    found: set[str | None] = {row.get(SCORED_BY) for row in record.rows}
    if None not in found:
        return found
    own = _configured(record.config)
    return (found - {None}) | {key_of(own) if own else None}


def _configured(config: Mapping[str, Any]) -> Fingerprints | None:
    try:
        return restore(config, None, Paths()).metric.fingerprints
    except UserError:
        return None


def bring_up_to_date(experiment: Experiment, targets: Targets, stored: Run) -> None:
    """Have all that is stored scored as the experiment asks: anew from the images that were kept.

    What can't be, for want of the attacked network or of pictures, is dropped, and so computed again.
    """
    if not experiment.attack.reconstructs_images:
        return
    if experiment.start.learns:
        _drop_unlearnable(stored)
    asked = experiment.metric.fingerprints
    known = _known(stored) | {key_of(asked): asked}
    if known != _known(stored):
        write_atomically(stored.directory / METRICS, json.dumps(known, sort_keys=True).encode())
    if all(row.get(SCORED_BY) == key_of(asked) for row in stored.rows):
        return
    prepare_metrics(experiment)
    kept: list[Row] = []
    for problem, group in groupby(stored.rows, key=lambda row: int(row["problem"])):
        rows = list(group)
        before = known.get(rows[0].get(SCORED_BY, ""), {})
        kept += _scored(experiment, targets, stored, problem, rows, before) or []
    stored.replace(kept)


def _drop_unlearnable(stored: Run) -> None:
    """Drop all from the first problem on whose pictures were not handed on: later searches begin at them."""
    finished = sorted(stored.finished)
    first = next((problem for problem in finished if absent(stored.images(problem)["truth"])), None)
    if first is not None:
        note(
            f"{shown_path(stored.directory)}: later searches begin at what earlier ones found, whose pictures were not "
            "published: computed anew"
        )
        stored.replace([row for row in stored.rows if row["problem"] < first])


def prepare_metrics(experiment: Experiment) -> None:
    """Load or train what scoring needs, kept beside the runs. Raises UserError."""
    experiment.metric.prepare(experiment.data.root, str(experiment.paths.runs / "judges"))


def _scored(
    experiment: Experiment,
    targets: Targets,
    stored: Run,
    problem: int,
    rows: Sequence[Row],
    before: Fingerprints,
) -> Sequence[Row] | None:
    if rows[0].get(SCORED_BY) == experiment.metric.key:
        return rows
    images = stored.images(problem)
    if absent(images["truth"]):
        return None
    return score_again(experiment.metric, targets, rows, images, before)


def _known(stored: Run) -> dict[str, Fingerprints]:
    path = stored.directory / METRICS
    if not path.exists():
        return {}
    try:
        with reading(stored.directory, METRICS):
            return _KNOWN.validate_json(plain(path))
    except Damaged as damage:
        warn(f"{damage.why} ({path}): all rows of this run are scored anew")
        return {}


_KNOWN = TypeAdapter(dict[str, Fingerprints])


def config_of(experiment: Experiment, count: int) -> dict[str, Any]:
    """The configuration of a run that holds so many targets, which may be more than were asked for."""
    config = experiment.config
    if count <= wanted(experiment):
        return config
    return config | {"trials": count, "scale": {**config["scale"], "trials": None}}
