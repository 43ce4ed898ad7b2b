"""How a run is carried out: where, by how many, how far, and what of it is measured and told."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from harness.base.component import absolute
from harness.base.numbers import Count, Positive, Processes, Steps
from harness.core import AbsolutePath, component
from harness.loggers.logger import Logger
from harness.metrics.scores import Scores
from harness.store.iterates import Report
from harness.store.lease import EXPIRY


@component
class Scale:
    """Upper limits on targets and steps; null is none. It only ever lowers what the configuration says."""

    name: str
    trials: Count | None = None
    steps: Steps | None = None
    prior_steps: Steps | None = None


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
    published: AbsolutePath | None = None
    """Results that come with their runs, which tables and sweeps need not compute; null: experiments/results."""


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
class Execution:
    """Where and how a run is carried out, how far, and what of it is measured: no image depends on it."""

    metric: Scores
    logger: Logger
    scale: Scale
    data: Data
    paths: Paths
    label: Label
    lease: Leases = dataclasses.field(default_factory=Leases)
    trials: Count
    device: Literal["auto", "cpu", "cuda"]
    threads: Processes
    report: Report = "best"
    """Which iterate of a search is shown. A run keeps and scores both."""
    ranks: Processes = 1
    """Processes that share the targets, on each node: one per GPU, or per core."""
    nodes: Processes = 1
    choices: dict[str, str] = dataclasses.field(default_factory=dict)
    """The name of the file that each group was read from."""
