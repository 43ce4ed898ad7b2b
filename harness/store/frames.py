"""The store as one pandas table, and what groups of its lines have in common."""

import gc
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.base.errors import UserError, nearest, omit, shortened
from harness.base.rows import Row, csv_cell
from harness.base.statistics import statistic
from harness.store.integrity import RESULT, Damaged, StoredRun

if TYPE_CHECKING:
    import pandas

SETTINGS = "settings"
"""The attribute of a frame that lists the columns of the configuration."""
OF_NO_CONSEQUENCE = ("seed", "device", "threads", "trials")
"""Settings that runs of one group may differ in: all but the seed change no number."""


@contextmanager
def _no_collection() -> Iterator[None]:
    """Reading makes millions of objects and no cycles: looking for cycles would double its time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_no_collection()
def frame(
    root: Path, runs: Iterable[str] | None = None, asked: Mapping[str, Sequence[Row]] | None = None
) -> "pandas.DataFrame":
    """One line per image of finished runs (all, or those named), in the order of the runs.

    Columns: `run`, then its configuration in flat columns (a group, `attack`, holds the name that was chosen, and
    `attack.steps` a setting), then what was measured. `attrs["settings"]` lists the columns of the configuration.
    `asked` has the rows of those runs of which not all, or not as they are stored, are asked for.
    """
    import pandas

    names, configs, counts = [], [], []
    rows: list[Row] = []
    for name, config, found in _stored(root) if runs is None else _chosen(root, runs):
        found = (asked or {}).get(name, found)
        names.append(name)
        configs.append(flatten(config))
        counts.append(len(found))
        rows += found
    measured, settings = columns(rows), columns(configs)
    places = [place for place, count in enumerate(counts) for _ in range(count)]
    described = {"run": names} | {name: values for name, values in settings.items() if name not in measured}
    left = pandas.DataFrame(described).take(places).reset_index(drop=True)
    right = pandas.DataFrame(measured)
    empty = [name for name in measured if right[name].isna().all()]  # numbers that are missing, not objects
    table = pandas.concat([left, right.astype(dict.fromkeys(empty, float))], axis=1)
    table.attrs[SETTINGS] = [name for name in described if name != "run"]
    return table


def named(
    root: Path, names: Sequence[Mapping[str, Any]], asked: Mapping[str, Sequence[Row]] | None = None
) -> "pandas.DataFrame":
    """The images of finished runs, with columns of one's own: each of the names holds a `run` and what it is called.

    A column of one's own stands for a setting of the same name. A run that has two names is there twice.
    """
    import pandas

    table = frame(root, [str(each["run"]) for each in names], asked)
    own = pandas.DataFrame(names)
    if own.empty:
        return table
    joined = own.merge(table.drop(columns=own.columns.difference(["run"]), errors="ignore"), on="run")
    joined.attrs[SETTINGS] = list(dict.fromkeys([*own.columns.drop("run"), *table.attrs[SETTINGS]]))
    return joined


def _stored(root: Path) -> Iterator[tuple[str, dict[str, Any], Sequence[Row]]]:
    """The configuration and the rows of every finished run. Those that are damaged are left out, and said."""
    for name in finished(root):
        try:
            stored = StoredRun.open(root / name)
            yield name, stored.content["config"], stored.rows()
        except Damaged as damage:
            omit(str(damage))


def _chosen(root: Path, runs: Iterable[str]) -> Iterator[tuple[str, dict[str, Any], Sequence[Row]]]:
    """The same of those named. Raises Damaged."""
    for name in dict.fromkeys(runs):
        stored = StoredRun.open(root / name)
        yield name, stored.content["config"], stored.rows()


def finished(root: Path) -> list[str]:
    """The ids of the finished runs of a store, sorted."""
    if not root.is_dir():
        return []
    with os.scandir(root) as entries:
        return sorted(entry.name for entry in entries if os.path.lexists(f"{entry.path}/{RESULT}"))


def to_csv(table: "pandas.DataFrame") -> bytes:
    """A table as a CSV file, in which no text is a formula."""
    return table.map(csv_cell).to_csv(index=False).encode()


def columns(lines: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Lines turned into columns, in the order in which they first occur; None where a line has no value."""
    names = dict.fromkeys(name for line in lines for name in line)
    return {name: [line.get(name) for line in lines] for name in names}


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """A nested configuration as one level of dotted names, and under each group's own name its choice."""
    choices = config.get("choices", {})
    nested = {key: value for key, value in config.items() if key != "choices"}
    return {**dict(_dotted(nested, "")), **{key: name for key, name in choices.items() if name}}


def _dotted(node: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def known(table: "pandas.DataFrame", names: Iterable[str]) -> list[str]:
    """The names, if all are columns. Raises UserError with the nearest name for the first that is not."""
    found = list(names)
    for name in found:
        if name not in table:
            hint = _nearest_columns(name, [str(column) for column in table.columns])
            raise UserError(f"{shortened(name)[1:-1]}: there is no such column{hint}")
    return found


def _nearest_columns(name: str, columns: Sequence[str]) -> str:
    """Those that begin with the name, else the one that is nearest; nothing where none is near: there are many."""
    if longer := [repr(each) for each in columns if each.startswith(f"{name}_")]:
        return f"; did you mean {' or '.join(longer)}?"
    close = nearest(name, columns)
    return close if "did you mean" in close else ""


def aggregate(table: "pandas.DataFrame", by: Sequence[str], metrics: Sequence[str]) -> "pandas.DataFrame":
    """A line for each group and metric: runs, n (images), targets (updates), mean, std and a 95 % interval.

    The images of one update, and its repetitions, count as one group of the interval: a bootstrap's, or Wilson's where
    the values are true and false. Below five targets `values` has their means, separated by spaces, in its place.
    Metrics without a value in a group have n = 0. Raises UserError for an unknown column, and for one to group by whose
    name a summary has for something else, or that is named twice.
    """
    import pandas

    summary = ["metric", "runs", "n", "targets", "mean", "std", "ci_low", "ci_high", "values"]
    for place, name in enumerate(by):
        if name in summary or name in by[:place]:
            raise UserError(f"{shortened(name)[1:-1]}: no second column of that name can be grouped by")
    lines = [
        {**dict(zip(by, values, strict=True)), "metric": metric, "runs": group["run"].nunique()}
        | _summary(group[metric], targets)
        for values, group in groups(table, known(table, by))
        for targets in [target(group)]
        for metric in known(table, metrics)
    ]
    numbers = ("mean", "std", "ci_low", "ci_high")  # missing ones too, where all are
    return pandas.DataFrame(lines, columns=[*by, *summary]).astype(dict.fromkeys(numbers, float))


def groups(
    table: "pandas.DataFrame", by: Sequence[str]
) -> Iterator[tuple[tuple[Any, ...], "pandas.DataFrame"]]:
    """The groups of a table in the order of their values, those without a value last; whole where `by` is empty."""
    if not by:
        yield (), table
        return
    keys = [_hashable(table[name]) for name in by]
    for values, group in table.groupby(keys, dropna=False, sort=True):
        yield values if isinstance(values, tuple) else (values,), group


def _hashable(column: "pandas.Series[Any]") -> "pandas.Series[Any]":
    """Lists, which can't be compared, as text."""
    return column.map(str) if column.map(lambda value: isinstance(value, list)).any() else column


def target(table: "pandas.DataFrame") -> list[tuple[object, ...]]:
    """Which update of which data set each line is about: an update is known by its images, which share their luck.

    One whose labels alone were inferred stands for itself.
    """
    images = table["target"] if "target" in table else [None] * len(table)
    return updates(list(zip(table["dataset"], table["run"], table["problem"], strict=True)), images)


def updates(keys: Sequence[tuple[object, ...]], images: Iterable[Any]) -> list[tuple[object, ...]]:
    """The update of each line, by the images behind it: `keys` tell updates apart, the first part of one data sets."""
    behind: dict[tuple[object, ...], set[Any]] = defaultdict(set)
    for key, image in zip(keys, images, strict=True):
        if image is not None and image == image:
            behind[key].add(image)
    found = {key: (key[0], *sorted(several)) for key, several in behind.items()}
    return [found.get(key, key) for key in keys]


def _summary(values: "pandas.Series[Any]", targets: Sequence[object]) -> dict[str, object]:
    kept = values.notna().to_numpy()
    numbers = [value for value, there in zip(values, kept, strict=True) if there]
    places = [place for place, there in zip(targets, kept, strict=True) if there]
    found = statistic(numbers, places)
    if found is None:
        return {"n": 0, "targets": 0}
    return {"n": found.n, "targets": len(set(places)), "mean": found.mean, "std": found.std,
            "ci_low": found.low, "ci_high": found.high, "values": listed(found.values)}  # fmt: skip


def listed(values: Sequence[float]) -> str | None:
    """Numbers in a column of a CSV file, separated by spaces; None where there are none."""
    return " ".join(f"{value:.6g}" for value in values) or None


def measured(table: "pandas.DataFrame", name: str) -> None:
    """Raise UserError unless a column is there and has a number in it."""
    import pandas

    known(table, [name])
    values = table[name].dropna()
    if values.empty:
        raise UserError(f"{name}: none of these {len(table)} images has a value (it was not measured)")
    if not pandas.api.types.is_numeric_dtype(values.infer_objects()):
        raise UserError(f"{name}: its values are no numbers, such as {values.iloc[0]!r}")


def mixed(table: "pandas.DataFrame", by: Sequence[str]) -> list[str]:
    """Settings in which the runs of one group differ, although the groups do not name them."""
    own = set(by) | set(OF_NO_CONSEQUENCE)
    settings = [name for name in table.attrs.get(SETTINGS, ()) if name not in own and name in table]
    runs = table.drop_duplicates("run")
    texts = ((name, _texts(runs, name)) for name in settings)
    different = {name: text for name, text in texts if text.nunique() > 1}
    found = [name for name, text in different.items() if _varies(text, runs, by)]
    return [name for name in found if name.rpartition(".")[0] not in found]


def _texts(runs: "pandas.DataFrame", name: str) -> "pandas.Series[Any]":
    """A setting as text. Runs that are older than a group of components have chosen none of it: they say nothing."""
    target = f"{name.partition('.')[0]}._target_"
    chosen = runs[runs[target].notna()] if target in runs else runs
    return chosen[name].map(str)


def _varies(text: "pandas.Series[Any]", runs: "pandas.DataFrame", by: Sequence[str]) -> bool:
    return any(text.reindex(group.index).nunique() > 1 for _, group in groups(runs, by))
