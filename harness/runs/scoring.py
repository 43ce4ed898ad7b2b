"""From a reconstruction to its rows: both of its iterates, scored; and by which settings it was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harness.base.rows import Row
from harness.config.experiment import Experiment
from harness.core import Batch, Classifier, Iterate, Reconstruction
from harness.metrics.labels import count, score_counts
from harness.metrics.matching import turned
from harness.metrics.scores import NO_MODEL, SUCCESS, Fingerprints, Scores
from harness.runs.targets import Client, Targets
from harness.store.iterates import LAST, beside, both

SCORED_BY = "scored_by"
"""The column that says by which settings a row was scored."""


@dataclass(frozen=True, eq=False)
class ScoredClient:
    """One row per image, and the images [n, c, h, w] by name: `truth`, `reconstruction`, and where they are others,
    those of the last iterate. Of an attack on labels they are counts of the classes [1, classes]."""

    rows: list[Row]
    images: dict[str, Tensor]


def score(experiment: Experiment, client: Client, found: Reconstruction) -> ScoredClient:
    """What is kept of a reconstruction.

    Where the attack has failed, nothing was measured: labels and metrics are None. Of an attack on labels alone it is
    one row per update.
    """
    if not experiment.attack.attacks:
        return _score_model(experiment, client, found)
    if not experiment.attack.reconstructs_images:
        return _score_labels(client, found)
    failed, metric = found.status == "failed", experiment.metric
    if experiment.attack.either_sign and not failed:
        found = _turned(found, client.truth.x)
    rows, images = _scored(metric, client, Iterate(found.x, found.y, found.loss, found.score), failed)
    course = client.circumstances | _course(client, found) | {SCORED_BY: metric.key}
    rows = [row | course for row in rows]
    if not experiment.attack.searches:
        return ScoredClient(rows, images)
    last, seen = (rows, images) if found.last is None else _scored(metric, client, found.last, failed)
    scored = [_without(row, course) | {"loss": found.end.loss} for row in last]
    rows = [row | beside(own) for row, own in zip(rows, scored, strict=True)]
    others = {name: image for name, image in seen.items() if not torch.equal(image, images[name])}
    return ScoredClient(rows, images | beside(others))


def _turned(found: Reconstruction, truth: Tensor) -> Reconstruction:
    """Both of its iterates with the signs that the truth chooses."""
    x, last = turned(found.x, truth.to(found.x)), found.last
    return replace(found, x=x, last=last and replace(last, x=turned(last.x, truth.to(last.x))))


def _without(row: Row, course: Row) -> Row:
    return {name: value for name, value in row.items() if name not in course}


def _scored(
    metric: Scores, client: Client, found: Iterate, failed: bool
) -> tuple[list[Row], dict[str, Tensor]]:
    observation = client.problem.observation
    scored = metric(Batch(found.x, found.y), client.truth, observation.model, observation.params)
    measured = [dict.fromkeys(row) | {"label": row["label"]} if failed else row for row in scored.rows]
    rows = [{"target": client.indices[at]} | row for at, row in zip(scored.positions, measured, strict=True)]
    return rows, {"truth": client.truth.x[scored.positions], "reconstruction": scored.matched}


def _score_labels(client: Client, found: Reconstruction) -> ScoredClient:
    classes = client.problem.observation.classes
    inferred, true = (count(labels.cpu(), classes) for labels in (found.y, client.truth.y))
    measured: Row = dict(score_counts(inferred, true))
    if found.status == "failed":
        measured = dict.fromkeys(measured)
    held = {"targets": client.indices, "examples": len(client.truth)}
    row = held | measured | client.circumstances | _course(client, found)
    return ScoredClient([row], {"truth": true[None], "reconstruction": inferred[None]})


def _score_model(experiment: Experiment, client: Client, found: Reconstruction) -> ScoredClient:
    """One row per round that is looked at. Rounds of one training are no repetitions: what is drawn is the seed."""
    course = {"seconds": found.seconds, "status": found.status}
    nothing = torch.zeros(1, 1)
    row = {"target": experiment.seed} | client.circumstances | course
    return ScoredClient([row], {"truth": nothing, "reconstruction": nothing})


def _course(client: Client, found: Reconstruction) -> Row:
    """What every row says of the attack that it came from."""
    converged = found.status == "converged"
    return {
        "loss": found.loss,
        "iterations": found.iterations,
        "evaluations": found.evaluations,
        "seconds": found.seconds,
        "converged": converged,
        "iterations_to_converge": found.iterations if converged else None,
        "status": found.status,
        "update_norm": client.norm,
    }


def score_again(
    metric: Scores, targets: Targets, rows: Sequence[Row], images: Mapping[str, Tensor], before: Fingerprints
) -> list[Row] | None:
    """The rows of a stored problem, with what is measured otherwise now measured anew on the images that were kept.

    `before` are the settings by which the rows were scored. None: it needs the attacked network, which can't be had.
    """
    after = metric.fingerprints
    new = [name for name in metric.metrics if after[name] != before.get(name) or name not in rows[0]]
    model = NO_MODEL
    if rows[0]["status"] != "failed" and any(metric.metrics[name].needs_model for name in new):
        network = targets.network(rows[0]["problem"])
        if network is None:
            return None
        model = network
    sides = ["", LAST] if both(rows[0]) else [""]
    found = [_again(metric, model, rows, images, new, side) for side in sides]
    gone = {f"{name}{side}" for name in before if name not in after for side in sides}
    fresh = [{k: v for own in each for k, v in own.items()} for each in zip(*found, strict=True)]
    return [
        {k: v for k, v in row.items() if k not in gone} | own | {SCORED_BY: metric.key}
        for row, own in zip(rows, fresh, strict=True)
    ]


def _again(
    metric: Scores,
    model: Classifier,
    rows: Sequence[Row],
    images: Mapping[str, Tensor],
    new: list[str],
    side: str,
) -> list[Row]:
    """The columns of one iterate that are new, and its success."""
    if rows[0]["status"] == "failed":
        return [{f"{name}{side}": None for name in [*new, SUCCESS]} for _ in rows]
    params = {name: value.detach() for name, value in model.named_parameters()}
    device = next(iter(params.values())).device
    found, truth = (
        images.get(f"{name}{side}", images[name]).to(device) for name in ("reconstruction", "truth")
    )
    inferred, label = (
        torch.tensor([row[f"{name}{side}"] for row in rows], device=device)
        for name in ("label_inferred", "label")
    )
    pair = Batch(found, inferred), Batch(truth, label)
    values = {name: metric.metrics[name](*pair, model, params) for name in new}
    columns = {name: None if value is None else value.tolist() for name, value in values.items()}
    decides = metric.success_metric
    if decides not in columns:
        columns[decides] = [row[f"{decides}{side}"] for row in rows]
    score = columns[decides]
    known = None if score is None or None in score else torch.tensor(score)
    success = metric.success(known)
    columns[SUCCESS] = None if success is None else success.tolist()
    return [
        {f"{name}{side}": None if column is None else column[place] for name, column in columns.items()}
        for place in range(len(rows))
    ]
