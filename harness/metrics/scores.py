"""All scores of a reconstruction: matched to the truth, one row for each image."""

import functools
import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from torch import Tensor, nn

from harness.base.numbers import Real
from harness.base.rows import Row
from harness.core import Batch, Classifier, Component, Metric, Normalize, Params, component
from harness.core.columns import EVERYWHERE
from harness.identity.identity import canonical
from harness.metrics.matching import match

SUCCESS = "success"
Fingerprints = dict[str, str]
"""Of each metric's settings, and of those of success."""
NO_MODEL = Classifier(Normalize((0.0,), (1.0,)), nn.Linear(1, 1))
"""For metrics that don't look at the attacked network."""


def _free(name: str) -> str:
    if name in EVERYWHERE:
        raise PydanticCustomError("taken", "every row has a column of that name anyway")
    return name


@dataclass(frozen=True, eq=False)
class Scored:
    """One row for each pair of an image of the truth and a reconstructed one: `positions` [n] of the one in the truth,
    and the other [n, c, h, w]."""

    rows: list[Row]
    matched: Tensor
    positions: list[int]


@component
class Scores(Component):
    """The metrics of a run: a column of each row is named as its metric is here."""

    metrics: dict[Annotated[str, AfterValidator(_free)], Metric] = Field()  # so that it is validated first
    success_metric: str = Field(default="mse", validate_default=True)
    """The metric that decides whether an image counts as recovered."""
    success_threshold: Real = 1e-3
    """Better than this, in the metric's own direction."""

    @field_validator("success_metric")
    @classmethod
    def _known(cls, name: str, info: ValidationInfo) -> str:
        names = info.data.get("metrics", {name: None})  # absent if it has errors of its own
        if name not in names:
            raise PydanticCustomError("unknown", "should be one of {names}", {"names": ", ".join(names)})
        return name

    @property
    def higher_is_better(self) -> dict[str, bool]:
        """The direction of every column that has one."""
        return {
            **{name: metric.higher_is_better for name, metric in self.metrics.items()},
            "label_correct": True,
            "success": True,
        }

    @functools.cached_property
    def fingerprints(self) -> Fingerprints:
        """What tells each metric from the same one set otherwise. Derived once: every row says by which."""
        decides = canonical(self.metrics[self.success_metric])
        success = [self.success_metric, self.success_threshold, decides]
        settings = {name: canonical(each) for name, each in self.metrics.items()} | {SUCCESS: success}
        return {name: _digest(value) for name, value in settings.items()}

    @functools.cached_property
    def key(self) -> str:
        """What stands in the rows for these settings."""
        return key_of(self.fingerprints)

    def prepare(self, root: str | None, cache: str) -> None:
        """Load what scoring needs, or train it on the files at `root`. Raises UserError now rather than when the attack
        is done."""
        for metric in self.metrics.values():
            metric.prepare()
            metric.learn(root, cache)

    def lacking(self) -> list[str]:
        """What this machine has not, for which metrics are left out."""
        return [lacking for metric in self.metrics.values() if (lacking := metric.lacking())]

    def __call__(self, reconstruction: Batch, truth: Batch, model: Classifier, params: Params) -> Scored:
        """Score a reconstruction matched one to one to images of the truth; each image keeps its own label.

        Where the one has more images than the other, what is left over is not scored: a client may hold more than the
        attack looks for. A metric that can't be had is None. Raises ValueError for images that are not finite or not in
        [0, 1].
        """
        _check("reconstruction", reconstruction.x)
        _check("truth", truth.x)
        device = next(iter(params.values())).device
        found, true = _moved(reconstruction, device), _moved(truth, device)
        ours, theirs = match(found.x, true.x)
        matched, shown = Batch(found.x[theirs], found.y[theirs]), Batch(true.x[ours], true.y[ours])
        columns = self._columns(matched, shown, model, params)
        rows = [{name: column[i] for name, column in columns.items()} for i in range(len(ours))]
        return Scored(rows, matched.x.to(truth.x.device), ours.tolist())

    def _columns(
        self, matched: Batch, truth: Batch, model: Classifier, params: Params
    ) -> dict[str, list[Any]]:
        label, inferred = _classes(truth.y), _classes(matched.y)
        scores = {name: metric(matched, truth, model, params) for name, metric in self.metrics.items()}
        found: dict[str, Tensor | None] = {
            "label": label,
            "label_inferred": inferred,
            "label_correct": label == inferred,
            "exact": (matched.x == truth.x).flatten(1).all(1),
            **scores,
            "success": self.success(scores[self.success_metric]),
        }
        return {
            name: [None] * len(truth) if values is None else values.tolist() for name, values in found.items()
        }

    def success(self, score: Tensor | None) -> Tensor | None:
        """Whether each image counts as recovered, by its score in the metric that decides."""
        if score is None:
            return None
        higher = self.metrics[self.success_metric].higher_is_better
        return score > self.success_threshold if higher else score < self.success_threshold


def key_of(settings: Fingerprints) -> str:
    """What stands in the rows for such settings."""
    return _digest(settings)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]


def _moved(batch: Batch, device: torch.device) -> Batch:
    return Batch(batch.x.to(device), batch.y.to(device))


def _classes(y: Tensor) -> Tensor:
    """Labels [n]; of soft labels [n, classes] the most probable."""
    return y if y.ndim == 1 else y.argmax(1)


def _check(name: str, x: Tensor) -> None:
    if not bool(torch.isfinite(x).all()):
        raise ValueError(f"the {name} can't be scored: it has values that are not finite")
    low, high = float(x.min()), float(x.max())
    if low < -1e-4 or high > 1 + 1e-4:
        raise ValueError(f"the {name} can't be scored: its values span [{low:.4g}, {high:.4g}], not [0, 1]")
