"""From a composed configuration to validated components, and to the id of the run that they make."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, cast, get_args

import hydra
import pydantic
from omegaconf import DictConfig, OmegaConf
from pydantic import AfterValidator, Field

from harness import secrecy
from harness.checks import check
from harness.component import absolute
from harness.components import build
from harness.core import (
    AbsolutePath,
    Attack,
    Dataset,
    Defense,
    Model,
    Prior,
    Protocol,
    Split,
    UserError,
    component,
)
from harness.errors import explain_validation
from harness.identity import absences, canonical, class_path, components, is_native, plain, stored
from harness.iterates import Report
from harness.lease import EXPIRY
from harness.log import Logger, NoLogger, warn
from harness.metrics.scores import Scores
from harness.models.training import Training
from harness.numbers import Count, Natural, Positive, Processes, Seed, Steps
from harness.schema import CONF, prepare_hydra
from harness.starts.policy import StartPolicy
from harness.starts.random import Random


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
NO_PART = ("hydra", "table")
"""What a composed configuration holds beside the experiment."""
GROUPS = (
    "dataset",
    "model",
    "fl",
    "attack",
    "defense",
    "prior",
    "training",
    "start",
    "metric",
    "logger",
    "scale",
)


def parse(cfg: DictConfig, choices: Mapping[str, str] | None = None) -> Experiment:
    """Validate a composed configuration and build its components. Raises UserError with one clear line.

    `choices` names the file behind each group; by default those that `cfg.hydra` holds, if it does.
    """
    if choices is None:
        choices = cfg.hydra.runtime.choices if "hydra" in cfg else {}
    keys = [str(key) for key in cfg if key not in NO_PART]
    values = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.masked_copy(cfg, keys), resolve=True))
    return assemble(values, choices)


def restore(config: Mapping[str, Any], root: str | None, paths: Paths) -> Experiment:
    """The experiment of a stored configuration, which leaves out what is of no consequence for the numbers.

    `root` is where the data are. Raises UserError where the configuration is not one, or no longer one.
    """
    values = {name: plain(once) for name, once in absences(Experiment).items() if name != "choices"}
    values |= {name: stored(name, value) for name, value in config.items() if name != "choices"}
    values |= {
        "logger": {"_target_": class_path(NoLogger)},
        "data": {"root": root},
        "paths": paths,
        "label": {},
    }
    if isinstance(scale := config.get("scale"), Mapping):
        values["scale"] = {"_target_": class_path(Scale), **scale}
    return assemble(values, config.get("choices", {}))


def assemble(values: Mapping[str, Any], choices: Mapping[str, Any]) -> Experiment:
    """The experiment of plain data, its components built and its parts checked. Raises UserError."""
    secrecy.refuse(values)
    parts = {name: build(name, values.get(name)) for name in GROUPS}
    names = {name: str(choices.get(name, "")) for name in GROUPS}
    try:
        experiment = Experiment(**{**values, **parts}, choices=names)
    except pydantic.ValidationError as error:
        raise UserError(explain_validation(error, Experiment, "")) from error
    found = experiment.dataset.resolved(experiment.data.root)
    return check(apply_scale(dataclasses.replace(experiment, dataset=found)))


def compose(*overrides: str) -> Experiment:
    """The experiment of some overrides, as on the command line: for notebooks, scripts and tests."""
    prepare_hydra()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return parse(hydra.compose("config", list(overrides), return_hydra_config=True))


def apply_scale(experiment: Experiment) -> Experiment:
    """Lower trials and steps to the scale's limits."""
    scale = experiment.scale
    if scale.name != "smoke":
        _say_what_is_lowered(experiment)
    return dataclasses.replace(
        experiment,
        trials=min(experiment.trials, scale.trials or experiment.trials),
        attack=_cap(experiment.attack, scale.steps),
        prior=_cap(experiment.prior, scale.prior_steps),
    )


def _say_what_is_lowered(experiment: Experiment) -> None:
    scale = experiment.scale
    asked = {
        "trials": (experiment.trials, scale.trials),
        "attack.steps": (experiment.attack.steps, scale.steps),
        "prior.steps": (experiment.prior.steps, scale.prior_steps),
    }
    for name, (value, limit) in asked.items():
        if limit is not None and value > limit:
            warn(f"scale={scale.name} lowers {name} from {value} to {limit}; scale=paper lowers nothing")


Capped = TypeVar("Capped", Attack, Prior)


def _cap(part: Capped, limit: int | None) -> Capped:
    return part if limit is None or part.steps <= limit else dataclasses.replace(part, steps=limit)
