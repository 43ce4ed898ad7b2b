"""The words around a table: what was run, what the attackers know, what is missing."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from harness.base import privacy, threat
from harness.base.statistics import statistic
from harness.cells.plan import key
from harness.store.iterates import Report
from harness.tables.measurement import Measurements, Outcome, finished, images
from harness.tables.spec import Table
from harness.tables.view import INSIDE, OUTSIDE

SHOWN: dict[Report, str] = {
    "best": "Of a search, the iterate with the lowest loss is shown.",
    "last": "Of a search, the last iterate is shown, as the authors return it.",
}
NORMALIZATION = {
    "eval": "by the running statistics (eval mode)",
    "train": "by the batch's own statistics (train mode)",
    "statistics": "by the batch's own statistics, which the client sends (train mode)",
}
"""What `fl.normalization` means for clients and attackers alike."""
CONTROLS = {
    "negative": "its negative",
    "other": "that of other images on the same network, in rounds another client's of the same round",
    "noise": "Gaussian noise of the same length",
}
"""What `control` hands the attacker."""
ORDINARY = ("converged", "stalled", "budget")
"""How an attack ends when nothing went wrong."""


def caption(table: Table, dataset: str, scale: str, outcomes: Sequence[Outcome]) -> list[str]:
    """What a reader must know before the first number."""
    seeds, one = sorted({outcome.cell.seed for outcome in outcomes}), unit(outcomes)
    lines = [
        f"Data set {dataset}, scale {scale}, {_images(table, outcomes)} a cell, "
        f"{'seed' if len(seeds) == 1 else 'seeds'} {_listed(map(str, seeds))}."
    ]
    theirs = table.reference and table.reference.dataset(dataset)
    shown = f" (published: {table.reference.name}, {theirs})" if table.reference and theirs else ""
    best = "; best mean in bold" if table.comparable else ""
    if shown:
        best += (
            f"; {INSIDE} or {OUTSIDE}: inside or outside our 95 % interval; 2x: ours is twice the published"
        )
    drawn = "seed" if table.independent == "seed" else one
    lines.append(f"Cells: measured mean ± standard deviation over {drawn}s{shown}{best}.")
    lines += [SHOWN[report] for report in dict.fromkeys(map(_report, outcomes)) if report]
    victims = {f"{settings(o.config, 'model')}, {settings(o.config, 'fl')}" for o in outcomes}
    lines += [f"Victim: {victim}." for victim in victims if len(victims) == 1]
    if len(victims) > 1:
        lines += by_row(table, outcomes, "Batch normalisation", lambda done: _normalization(done[0].config))
    lines += by_row(
        table, outcomes, "What clients train", lambda done: _but(done[0].config, "adapter", "none")
    )
    lines += by_row(
        table, outcomes, "What the server does", lambda done: _but(done[0].config, "server", "honest")
    )
    lines += by_row(
        table, outcomes, "What clients check", lambda done: _but(done[0].config, "checks", "none")
    )
    lines += by_row(
        table, outcomes, "How the attacker takes clients to train", lambda done: _taken(done[0].config)
    )
    lines += by_row(
        table, outcomes, "In place of the update the attacker has", lambda done: _control(done[0].config)
    )
    lines += by_row(table, outcomes, "Federations", lambda done: _federation(done[0].config))
    lines += by_row(table, outcomes, "Images that an attacked client trains on", _held)
    lines += by_row(table, outcomes, "Images of the class that the adversary owns", _own)
    lines.append(f"Columns: {'; '.join(_column(table, column, outcomes) for column in table.columns)}.")
    if any(_start(outcome.config) for outcome in outcomes):
        lines += by_row(table, outcomes, "Start of a search", lambda done: settings(done[0].config, "start"))
    lines += by_row(table, outcomes, threat.TITLE, lambda done: threat.told(done[0].config))
    lines += by_cell(table, outcomes, privacy.TITLE, _privacy)
    lines += by_row(table, outcomes, "Attacks", lambda done: settings(done[0].config, "attack"))
    lines += by_row(table, outcomes, f"Mean effort for an {one}", _cost)
    return lines


def _report(outcome: Outcome) -> Report | None:
    """Which iterate is shown; None where there is only one."""
    rows = outcome.record.rows if outcome.record else []
    searched = outcome.experiment is not None and outcome.experiment.attack.searches
    return outcome.report if rows and searched else None


def notes(
    table: Table, names: Sequence[str], outcomes: Sequence[Outcome], measurements: Measurements
) -> list[str]:
    """What a reader must know after the last number; `names` are the dataset's and the scale's."""
    lines = [table.notes[name] for name in ("all", *names) if name in table.notes]
    lines += [_intervals(table, unit(outcomes))]
    lines += [
        text for metric in table.metrics if (text := _absent(table, metric, measurements, unit(outcomes)))
    ]
    lines += [text for r in table.rows for c in table.columns if (text := _trouble(outcomes, r, c))]
    if left := [outcome for outcome in outcomes if outcome.record is None and not outcome.failure]:
        lines.append(f"{len(left)} of {len(outcomes)} cells are not made yet.")
    failed = [outcome for outcome in outcomes if outcome.failure]
    return lines + [f"{o.cell.name}, seed {o.cell.seed}: no result ({o.failure})." for o in failed]


def _intervals(table: Table, one: str) -> str:
    """Over what the intervals are, and of which kind."""
    drawn = {
        "image": f"{one}s, each with its seeds",
        "client": "clients, each with all its images, which are not independent",
        "block": f"blocks of {table.block} successive {one}s, for an attack learns from earlier ones",
        "seed": f"seeds of the same {one}s, and say nothing of others",
    }[table.independent]
    return (
        f"The 95 % intervals in cells.csv are over {drawn}: Wilson's of a rate, else a bootstrap's (BCa). Below five "
        "of them there is no interval and no test, and cells.csv has their values."
    )


def unit(outcomes: Sequence[Outcome]) -> str:
    """What a row of the records is about: an image, or an update where labels alone were inferred."""
    rows = (row for outcome in outcomes if outcome.record for row in outcome.record.rows)
    return "update" if any("targets" in row for row in rows) else "image"


def settings(config: Mapping[str, Any], group: str) -> str:
    """The component of a group, with its own plain settings: `clipping (bound 1.0, scope global)`; `alike 4`."""
    node = config.get(group, {})
    if not isinstance(node, Mapping):
        return f"{group} {node}"
    values = {name: value for name, value in node.items() if isinstance(value, bool | int | float | str)}
    told = [f"{name} {value}" for name, value in values.items() if name != "_target_"]
    name = config.get("choices", {}).get(group) or group
    return f"{name} ({', '.join(told)})" if told else name


def _normalization(config: Mapping[str, Any]) -> str:
    """By what clients normalise their batches, and attackers after them."""
    return NORMALIZATION.get(config.get("fl", {}).get("normalization"), "")


def _taken(config: Mapping[str, Any]) -> str:
    """By which protocol the attacker simulates clients, where it is not told theirs."""
    believed = config.get("knowledge", {}).get("protocol")
    if not believed:
        return ""
    name = str(believed["_target_"]).rpartition(".")[2]
    told = [f"{key} {believed[key]}" for key in ("batch_size", "local_epochs", "lr") if key in believed]
    return f"{name} ({', '.join(told)})"


def _control(config: Mapping[str, Any]) -> str:
    """What stands in for the update."""
    return CONTROLS.get(config.get("control", "none"), "")


def _federation(config: Mapping[str, Any]) -> str:
    """How many clients there are, and how the images are dealt out to them."""
    protocol = config.get("fl", {})
    if not protocol.get("clients"):
        return ""
    dealt = dict(protocol.get("partition", {}))
    name = str(dealt.pop("_target_", "")).rpartition(".")[2] or "partition"
    told = ", ".join(f"{key} {value}" for key, value in dealt.items() if key != "draws")
    return f"{protocol['clients']} clients, {name}{f' ({told})' if told else ''}"


def _held(outcomes: Sequence[Outcome]) -> str:
    """In rounds, where the partition decides."""
    counts = [
        row["examples"] for o in outcomes if o.record for row in o.record.rows if row.get("round") is not None
    ]
    if not counts:
        return ""
    return f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"


def _own(outcomes: Sequence[Outcome]) -> str:
    """Of an attack from inside the rounds: what it has in any case is no theft."""
    rows = [row for o in outcomes if o.record for row in o.record.rows]
    counts = [row["own_images"] for row in rows if row.get("own_images") is not None]
    return _listed(map(str, sorted(set(counts))))


def _column(table: Table, column: str, outcomes: Sequence[Outcome]) -> str:
    """What a column sets, such as its defence, where that is the same for all rows; else only its name."""
    groups = dict.fromkeys(key(override).partition(".")[0] for override in table.columns[column])
    configs = [outcome.config for outcome in outcomes if outcome.cell.column == column]
    told = [{settings(config, group) for config in configs} for group in groups]
    same = [texts.pop() for texts in told if len(texts) == 1]
    return f"{column}: {', '.join(same)}" if same else column


def _but(config: Mapping[str, Any], group: str, usual: str) -> str:
    """What is chosen of a group, where that is not as usual."""
    return "" if config.get("choices", {}).get(group, usual) == usual else settings(config, group)


def _start(config: Mapping[str, Any]) -> bool:
    """Whether a search begins where something else than chance says."""
    return bool(config.get("choices", {}).get("start", "random") != "random")


def by_row(
    table: Table, outcomes: Sequence[Outcome], title: str, describe: Callable[[list[Outcome]], str]
) -> list[str]:
    """One line that says something of every row, naming together the rows of which the same is said."""
    said: dict[str, list[str]] = {}
    for row in table.rows:
        own = [outcome for outcome in outcomes if outcome.cell.row == row]
        if own and (text := describe(own)):
            said.setdefault(text, []).append(row)
    parts = [f"{', '.join(rows)}: {text}" for text, rows in said.items()]
    return [f"{title}: {'; '.join(parts)}."] if parts else []


def by_cell(
    table: Table, outcomes: Sequence[Outcome], title: str, describe: Callable[[Outcome], str]
) -> list[str]:
    """As `by_row`, of cells: those of a whole column go by its name, others by row and column."""
    said: dict[str, dict[tuple[str, str], None]] = {}
    for outcome in outcomes:
        if text := describe(outcome):
            said.setdefault(text, {})[outcome.cell.row, outcome.cell.column] = None
    there = {(outcome.cell.row, outcome.cell.column) for outcome in outcomes}
    parts = []
    for text, cells in said.items():
        whole = [c for c in table.columns if {(r, c) for r, other in there if other == c} <= cells.keys()]
        whole = [column for column in whole if any(column == c for _, c in cells)]
        rest = [f"{row} x {column}" for row, column in cells if column not in whole]
        parts.append(f"{', '.join([*whole, *rest])}: {text}")
    return [f"{title}: {'; '.join(parts)}."] if parts else []


def _privacy(outcome: Outcome) -> str:
    return privacy.told(outcome.config, outcome.record.rows if outcome.record else [])


def _cost(outcomes: Sequence[Outcome]) -> str:
    rows = [row for o in outcomes if o.record for row in o.record.rows]
    evaluations = statistic([row.get("evaluations") for row in rows])
    seconds = statistic([row.get("seconds") for row in rows])
    if evaluations is None or seconds is None:
        return ""
    return f"{evaluations.mean:.0f} evaluations, {seconds.mean:.1f} s from start to end"


def _images(table: Table, outcomes: Sequence[Outcome]) -> str:
    counts = {
        len(images(done)) for r in table.rows for c in table.columns if (done := finished(outcomes, r, c))
    }
    one = unit(outcomes)
    if not counts:
        return f"no finished {one}"
    if counts == {1}:
        return f"1 {one}"
    return f"{min(counts)} {one}s" if len(counts) == 1 else f"{min(counts)} to {max(counts)} {one}s"


def _absent(table: Table, metric: str, measurements: Measurements, one: str) -> str:
    """That a metric has no value for some image or update, and why."""
    values = [
        v for (_, _, name), cell in measurements.items() if name == metric for v in cell.values.values()
    ]
    if None not in values:
        return ""
    count, shown = values.count(None), table.metrics[metric]
    extent = "no value" if count == len(values) else f"no value for {count} of {len(values)} {one}s"
    return f"{shown.title}: {extent}{f' ({shown.missing})' if shown.missing else ''}."


def _trouble(outcomes: Sequence[Outcome], row: str, column: str) -> str:
    rows = images(finished(outcomes, row, column)).values()
    bad = Counter(r["status"] for r in rows if r.get("status", "budget") not in ORDINARY)
    one = unit(outcomes)
    told = _listed(
        f"{count} of {len(rows)} {one}s {status}, {'left out' if status == 'failed' else 'counted as they are'}"
        for status, count in bad.items()
    )
    return f"{row} x {column}: {told}." if bad else ""


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)
