"""Figure 9 of GGL: the loss that the attacker sees beside the true distance, around what it found."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from harness.attacks.ggl import GGL
from harness.base.files import slug, write_atomically
from harness.base.numbers import Count
from harness.base.rows import read_csv, to_csv
from harness.config.experiment import Experiment
from harness.core import Metric, UserError, component, generator
from harness.papers.ggl.latents import latents
from harness.papers.ggl.maps import draw
from harness.papers.ggl.plane import LOSSES, MATCHING, OBJECTIVE, Distance, Landscape, steps, survey
from harness.papers.ggl.words import page
from harness.runs.clients import open_targets
from harness.store.records import Store
from harness.tables.measurement import Outcome
from harness.tables.supplement import Supplement


def _odd(points: int) -> int:
    if points < 3 or points % 2 == 0:
        raise ValueError("should be odd, and 3 or more: what was found is in the middle")
    return points


Points = Annotated[Count, AfterValidator(_odd)]


@component
class LossLandscapes(Supplement):
    """landscape.md, landscape.png (of one image), and for each column landscape-NAME.csv with the values of all images.

    What is in such a file is not computed again.
    """

    row: str
    points: Annotated[dict[str, Points], Field(min_length=1)]
    """Along each side of the plane, by scale."""
    metrics: Annotated[dict[str, str], Field(min_length=1)]
    """What the true distance is measured by, and what each is called; first what is told in words."""
    images: Count = 5
    """The first of each run."""

    def write(self, dataset: str, outcomes: Sequence[Outcome], store: Store, directory: Path) -> None:
        done = {one.cell.column: one for one in reversed(outcomes) if one.record and one.cell.row == self.row}
        found = {column: self._column(done[column], store, directory) for column in reversed(done)}
        shown = {column: each for column, each in found.items() if each}
        if not shown:
            return
        experiment = next(iter(done.values())).experiment
        assert experiment is not None
        distances = [
            Distance(name, title, experiment.metric.metrics[name].higher_is_better)
            for name, title in self.metrics.items()
        ]
        write_atomically(directory / "landscape.md", page(dataset, shown, distances[0]).encode())
        write_atomically(directory / "landscape.png", draw(dataset, shown, [*LOSSES, *distances]))

    def _column(self, outcome: Outcome, store: Store, directory: Path) -> list[Landscape]:
        """The landscapes of a run, from their file or else computed."""
        experiment, record = outcome.experiment, outcome.record
        assert experiment is not None
        assert record is not None
        path = directory / f"landscape-{slug(outcome.cell.column)}.csv"
        rows = [row for row in record.rows if row["status"] != "failed"][: self.images]
        points = self.points.get(experiment.scale.name, max(self.points.values()))
        metrics = {name: _metric(experiment, name) for name in self.metrics}
        wanted = {
            (outcome.id, str(row["target"])): {n for n, m in metrics.items() if m.lacking() is None}
            for row in rows
        }
        if not _holds(path, wanted, points):
            made = _surveys(outcome, store, [row["problem"] for row in rows], points, metrics)
            write_atomically(path, to_csv(_lines(outcome.id, made)).encode())
        return _read(path)


def _metric(experiment: Experiment, name: str) -> Metric:
    known = experiment.metric.metrics
    if name not in known:
        raise UserError(f"landscapes: {name!r} is none of the metrics {', '.join(known)}")
    return known[name]


def _surveys(
    outcome: Outcome, store: Store, problems: Sequence[int], points: int, metrics: Mapping[str, Metric]
) -> list[Landscape]:
    experiment = outcome.experiment
    assert experiment is not None
    attack = experiment.attack
    if not isinstance(attack, GGL) or experiment.fl.examples != 1:
        raise UserError(f"landscapes: {outcome.cell.name} is no GGL on one image")
    for metric in metrics.values():
        metric.prepare()
    targets = open_targets(experiment)
    clients = [targets[problem] for problem in problems]
    vectors = latents(outcome, store, clients)
    return [
        survey(attack, client, z, points, metrics, generator("landscape", experiment.seed, client.problem.id))
        for client, z in zip(clients, vectors, strict=True)
    ]


def _lines(run: str, found: Sequence[Landscape]) -> list[Sequence[object]]:
    names = list(dict.fromkeys(name for each in found for name in each.values))
    lines: list[Sequence[object]] = [["run", "target", "b", "a", *names]]
    for each in found:
        columns = zip(*each.values.values(), strict=True)
        for place, values in enumerate(columns):
            a, b = each.at(place)
            lines.append([run, each.target, f"{b:g}", f"{a:g}", *(f"{value:.8g}" for value in values)])
    return lines


def _holds(path: Path, wanted: Mapping[tuple[str, str], set[str]], points: int) -> bool:
    """Whether a file has the landscapes of these images of a run, so fine and with all that can be measured."""
    lines = read_csv(path) if path.exists() else []
    held = [(line["run"], line["target"]) for line in lines]
    names = {MATCHING, OBJECTIVE}.union(*wanted.values())
    return (
        dict.fromkeys(held) == dict.fromkeys(wanted)
        and len(lines) == len(wanted) * len(steps(points)) ** 2
        and all(line.get(name) for line in lines for name in names)
    )


def _read(path: Path) -> list[Landscape]:
    lines = read_csv(path)
    targets = dict.fromkeys(int(line["target"]) for line in lines)
    own = {target: [line for line in lines if int(line["target"]) == target] for target in targets}
    return [
        Landscape(
            target,
            round(len(each) ** 0.5),
            {name: [float(line[name]) for line in each] for name in [*each[0]][4:]},
        )
        for target, each in own.items()
    ]
