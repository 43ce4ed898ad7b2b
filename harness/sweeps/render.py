"""Write a sweep down: cells.csv, its plots as PNG and CSV, sweep.md, provenance.json."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.base import privacy, threat
from harness.base.files import to_json_lines, write_atomically
from harness.base.rows import pipes
from harness.cells.plan import Plan
from harness.core import Record
from harness.plots.plot import write_all
from harness.plots.style import label
from harness.runs.answers import answer
from harness.store.frames import aggregate, groups, named
from harness.store.provenance import combined
from harness.store.records import Store
from harness.sweeps.spec import SEED, Point, Sweep

if TYPE_CHECKING:
    import pandas

TRAINING = ("test_accuracy", "test_loss")
"""What there is to say of clients that nobody attacks."""


def render(
    sweep: Sweep,
    dataset: str,
    scale: str,
    plan: Plan[Point],
    failures: Mapping[Point, str],
    store: Store,
    directory: Path,
) -> str:
    """Write all that shows a sweep, finished or not, into a directory. Returns its numbers and notes as text."""
    found = _found(plan, failures, store)
    table, axes = _table(plan, failures, store, found)
    axes = [*(name for name in axes if name != SEED), *sweep.each]
    directory.mkdir(parents=True, exist_ok=True)
    cells = summary(table, axes, sweep.metrics)
    drawn, troubles = write_all(sweep.plots, table, directory) if found else ({}, [])
    notes = [
        _threat(plan),
        *_privacy(plan, found),
        *(sweep.notes[name] for name in ("all", dataset, scale) if name in sweep.notes),
    ]
    notes += [*troubles, *(f"{point.name}: no result ({why})." for point, why in failures.items())]
    provenance = {
        "sweep": sweep.name,
        "title": sweep.title,
        "dataset": dataset,
        "scale": scale,
        "notes": notes,
        **combined([record.provenance for record in found.values()]),
        "cells": [
            {"values": dict(point.values), "run": experiment.id, "finished": point not in failures,
             "overrides": point.overrides}
            for point, experiment in plan.items()
        ],
    }  # fmt: skip
    runs = f"{len(plan) - len(failures)} of {len(plan)} runs"
    caption = f"Data set {dataset}, scale {scale}, {runs}, {_units(plan, cells)}."
    files = {
        "cells.csv": cells.to_csv(index=False),
        "sweep.md": _markdown(sweep, caption, wide(cells, axes), drawn, notes),
        "provenance.json": to_json_lines(provenance),
    }
    for name, content in files.items():
        write_atomically(directory / name, content.encode())
    shown = wide(cells, axes).to_string(index=False)
    return "\n".join([sweep.title or str(sweep.name), "", shown, "", caption, *notes])


def overview(metrics: Sequence[str], plan: Plan[Point], failures: Mapping[Point, str], store: Store) -> str:
    """What a grid without a name has found: a line for each point, over its seeds; nothing where nothing is finished.

    Of the metrics, those that were measured; of mere trainings, how well they did round by round."""
    found = _found(plan, failures, store)
    if not found:
        return ""
    table, axes = _table(plan, failures, store, found)
    axes = [name for name in axes if name != SEED]
    if not _attacked(plan):
        metrics, axes = TRAINING, [*axes, "round"]
    measured = [name for name in metrics if name in table and table[name].notna().any()]
    if not measured:
        return ""
    cells = summary(table, axes, measured)
    shown = wide(cells, axes)
    shown.insert(len(axes), "n", [int(group["n"].max()) for _, group in groups(cells, axes)])
    return f"\n{shown.to_string(index=False)}\n\n{_units(plan, cells)}."


def _found(plan: Plan[Point], failures: Mapping[Point, str], store: Store) -> dict[str, Record]:
    """The records of the finished runs."""
    done = {experiment.id: experiment for point, experiment in plan.items() if point not in failures}
    return {identity: record for identity, run in done.items() if (record := answer(store, run))}


def _table(
    plan: Plan[Point], failures: Mapping[Point, str], store: Store, found: Mapping[str, Record]
) -> tuple["pandas.DataFrame", list[str]]:
    """Every image of the finished runs, under the values of its point, and the axes."""
    axes = list(dict.fromkeys(name for point in plan for name, _ in point.values))
    names = [
        {"run": experiment.id, **dict.fromkeys(axes), **dict(point.values)}
        for point, experiment in plan.items()
        if point not in failures
    ]
    return named(store.root, names, {identity: record.rows for identity, record in found.items()}), axes


def _threat(plan: Plan[Point]) -> str:
    """What the attackers have, naming together the attacks of which the same is said."""
    said: dict[str, dict[str, None]] = {}
    for experiment in plan.values():
        has = threat.told(experiment.config) if experiment.attack.attacks else "nobody attacks"
        said.setdefault(has, {})[experiment.choices["attack"]] = None
    told = [f"{', '.join(names)}: {text}" for text, names in said.items()]
    return f"{threat.TITLE}: {'; '.join(told)}."


def _privacy(plan: Plan[Point], found: Mapping[str, Record]) -> list[str]:
    """What the noise of the points that have any is worth, whatever their seed."""
    said: dict[str, dict[str, None]] = {}
    for point, experiment in plan.items():
        record = found.get(experiment.id)
        if record and (worth := privacy.told(experiment.config, record.rows)):
            values = ", ".join(f"{name}={value}" for name, value in point.values if name != SEED)
            said.setdefault(worth, {})[values] = None
    told = [f"{' and '.join(names)}: {worth}" for worth, names in said.items()]
    return [f"{privacy.TITLE}: {'; '.join(told)}."] if told else []


def summary(table: "pandas.DataFrame", axes: Sequence[str], metrics: Sequence[str]) -> "pandas.DataFrame":
    """cells.csv: a line for each point and metric, over images and seeds, with the ids of its runs."""
    import pandas

    if table.empty:
        return pandas.DataFrame(columns=[*axes, "metric", "n", "targets", "mean"])
    cells = aggregate(table, axes, metrics)
    runs = [" ".join(group["run"].unique()) for _, group in groups(table, axes)]
    cells["run_ids"] = [each for each in runs for _ in metrics]
    return cells


def wide(cells: "pandas.DataFrame", axes: Sequence[str]) -> "pandas.DataFrame":
    """A line for each point, a column of means with their intervals for each metric."""
    import pandas

    lines = []
    for values, group in groups(cells, axes):
        numbers = {label(line["metric"]): _number(line) for line in group.to_dict("records")}
        lines.append(dict(zip(map(label, axes), map(_value, values), strict=True)) | numbers)
    return pandas.DataFrame(lines)


def _value(value: object) -> object:
    """A value of an axis; nothing where a variant has no such axis."""
    if value is None or value != value:
        return ""
    return f"{value:g}" if isinstance(value, float) else value


def _number(line: Mapping[Any, Any]) -> str:
    if not line["n"]:
        return "-"
    if line["ci_low"] == line["ci_low"]:  # else it is no number
        return f"{line['mean']:.3g} [{line['ci_low']:.3g}, {line['ci_high']:.3g}]"
    return f"{line['mean']:.3g} ({', '.join(f'{float(value):.3g}' for value in line['values'].split())})"


_KINDS = "Wilson's of a rate, else a bootstrap's (BCa); below five of them their values"


def _units(plan: Plan[Point], cells: "pandas.DataFrame") -> str:
    """How much is behind a point, and over what its intervals are."""
    if not _attacked(plan):
        return (
            f"{_counted(cells['n'], 'training')} a point; means with 95 % intervals over trainings, {_KINDS}"
        )
    told = f"{_counted(cells['targets'], 'client')} a point with {_counted(cells['n'], 'image')}"
    return f"{told}; means with 95 % intervals over clients, each with its images and their seeds, {_KINDS}"


def _attacked(plan: Plan[Point]) -> bool:
    return any(experiment.attack.attacks for experiment in plan.values())


def _counted(counts: "pandas.Series[Any]", noun: str) -> str:
    many = _range(counts)
    return f"{many} {noun}{'s' * (many != '1')}"


def _range(counts: "pandas.Series[Any]") -> str:
    found = sorted({int(count) for count in counts if count})
    if not found:
        return "no"
    return f"{found[0]}" if len(found) == 1 else f"{found[0]} to {found[-1]}"


def _markdown(
    sweep: Sweep, caption: str, shown: "pandas.DataFrame", drawn: Mapping[str, str], notes: Sequence[str]
) -> str:
    lines = [list(map(str, shown.columns)), *(list(map(str, line)) for line in shown.to_numpy())]
    blocks = [
        f"# {sweep.title or sweep.name}",
        caption,
        *(f"![{title}]({name}.png)" for name, title in drawn.items()),
    ]
    blocks += [pipes(lines), "\n".join(f"- {note}" for note in notes)]
    return "\n\n".join(block for block in blocks if block) + "\n"
