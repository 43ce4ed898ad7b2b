"""One run as it is configured: its parts, and the id that they make."""

import dataclasses
import functools
import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import AfterValidator, Field

from harness.base.component import absolute
from harness.base.numbers import Count, Natural, Positive, Processes, Seed, Steps
from harness.core import (
    AbsolutePath,
    Attack,
    Dataset,
    Defense,
    Model,
    Prior,
    Protocol,
    Split,
    component,
)
from harness.identity.identity import canonical, components, is_native, plain
from harness.loggers.logger import Logger
from harness.metrics.scores import Scores
from harness.models.training import Training
from harness.starts.policy import StartPolicy
from harness.starts.random import Random
from harness.store.iterates import Report
from harness.store.lease import EXPIRY


@component
class Scale:
    """Upper limits on targets and steps; null is none. It only ever lowers what the configuration says."""

    name: str
    trials: Count | None = None
    steps: Steps | None = None
    prior_steps: Steps | None = None


@component
class Granted:
    """What the attacker is given beside the update."""

    labels: bool = False
    defense: bool = False
    order: bool = False
    """The order in which the client goes through its images."""
    public: bool = False
    """Labelled images like the clients'."""


def from_root(path: str) -> str:
    """A path from the root on, with ~ expanded."""
    return str(absolute(Path(path)))


@component
class Data:
    """Where real data sets are."""

    root: Annotated[str, AfterValidator(from_root)] | None = None


@component
class Paths:
    """Where runs and tables go."""

    runs: AbsolutePath = Field(default=Path("runs"), validate_default=True)
    results: AbsolutePath = Field(default=Path("results"), validate_default=True)


@component
class Leases:
    """How processes that share a store deal with each other."""

    expiry: Positive = EXPIRY
    """Seconds without a sign of life after which a worker on another machine counts as dead."""


@component
class Label:
    """How loggers and progress bars name a run; of no consequence for its numbers."""

    group: str | None = None
    """The table or sweep that the run belongs to."""
    job_type: str | None = None
    """The row of the table."""
    name: str | None = None
    tags: list[str] = dataclasses.field(default_factory=list)


@component
class Experiment:
    """One run, ready to be carried out: every part is validated, and the scale is applied."""

    execution: ClassVar[frozenset[str]] = frozenset(
        (
            *("logger", "scale", "data", "paths", "label", "lease", "device", "threads", "ranks", "nodes"),
            *("choices", "trials", "metric", "report"),
        )
    )
    """Where and how a run is carried out, how far, and what of it is measured: no image depends on it."""
    dataset: Dataset
    model: Model
    fl: Protocol
    attack: Attack
    defense: Defense
    prior: Prior
    training: Training = dataclasses.field(default_factory=Training)
    """Of the model, before its clients send anything."""
    start: StartPolicy = dataclasses.field(default_factory=Random)
    metric: Scores
    logger: Logger
    scale: Scale
    knowledge: Granted
    data: Data
    paths: Paths
    label: Label
    lease: Leases = dataclasses.field(default_factory=Leases)
    trials: Count
    targets: list[Natural] | None
    order: Literal["random", "same_class", "distinct", "sequential"] = "random"
    """Of the targets: drawn by the seed; drawn from one class that the seed draws; drawn so that the images behind an
    update are of different classes; or as the data set has them."""
    seed: Seed
    device: Literal["auto", "cpu", "cuda"]
    threads: Processes
    report: Report = "best"
    """Which iterate of a search is shown. A run keeps and scores both."""
    ranks: Processes = 1
    """Processes that share the targets, on each node: one per GPU, or per core."""
    nodes: Processes = 1
    choices: dict[str, str] = dataclasses.field(default_factory=dict)
    """The name of the file that each group was read from."""

    @property
    def title(self) -> str:
        """What a progress bar calls the run."""
        named = " x ".join(self.choices[group] for group in ("attack", "defense", "dataset") if self.choices)
        return self.label.name or named or self.id

    @functools.cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits of the hash of the identity. Derived once: workers are handed it."""
        text = json.dumps(self.identity, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def identity(self) -> dict[str, Any]:
        """All that the reconstructions depend on: settings, the content of files, and the code of others.

        Less what is as it was before the setting was there, so that new options keep old results valid.
        """
        settings: dict[str, Any] = canonical(self)
        files = self.dataset.fingerprint(self.data.root, self.splits)
        return settings | ({"files": files} if files else {})

    @property
    def splits(self) -> list[Split]:
        """The splits of the data set that the run reads. Components from elsewhere may read any."""
        fields = (f.name for f in dataclasses.fields(self) if f.name not in self.execution)
        parts = [part for name in fields for part in components(getattr(self, name))]
        read = {"attack", *(split for part in parts for split in part.reads)}
        read |= {"public"} if self.knowledge.public else set()
        foreign = any(not is_native(type(part)) for part in parts)
        return [split for split in get_args(Split) if foreign or split in read]

    @property
    def kinship(self) -> str:
        """What runs have in common that one call of an attack can carry out: all but the seed and the start."""
        same = {name: value for name, value in self.identity.items() if name not in ("seed", "start")}
        same |= {name: plain(getattr(self, name)) for name in SHARED}
        return json.dumps(same, sort_keys=True)

    @property
    def config(self) -> dict[str, Any]:
        """The whole configuration as plain data, complete with defaults."""
        return {
            f.name: plain(getattr(self, f.name))
            for f in dataclasses.fields(self)
            if f.name not in ("logger", "paths", "data", "label", "lease", "report")
        }


SHARED = ("data", "paths", "device", "threads", "ranks", "nodes", "trials", "metric", "report")
"""What identifies no run, but must be the same for runs side by side."""
