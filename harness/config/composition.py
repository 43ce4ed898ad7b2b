"""From a composed configuration to a validated experiment."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import hydra
import pydantic
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from harness.base import secrecy
from harness.base.complaints import explain_composition
from harness.base.components import build
from harness.base.errors import explain_validation, warn_once
from harness.base.memory import look_again
from harness.base.schema import CONF, prepare_hydra
from harness.base.several import spelt_out
from harness.config.checks import check
from harness.config.execution import Paths, Scale
from harness.config.experiment import Experiment
from harness.core import Component, UserError
from harness.identity.identity import absences, class_path, plain, stored
from harness.loggers.logger import NoLogger

OWN = "own"
"""The budget of who is compared with nobody."""
NO_PART = ("hydra", "table", "tune", "budget")
"""What a composed configuration holds beside the experiment."""
GROUPS = (
    "dataset",
    "model",
    "fl",
    "attack",
    "defense",
    "prior",
    "training",
    "adapter",
    "server",
    "checks",
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
    keys = [str(key) for key in cfg if key != "hydra"]
    values = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.masked_copy(cfg, keys), resolve=True))
    return assemble(own_parts(values), choices)


def own_parts(values: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of an experiment among those of a composed configuration. Raises UserError for a budget, which a
    single run, or a point of a sweep, shares with nobody."""
    if values.get("budget", OWN) != OWN:
        raise UserError(f"budget={values['budget']}: only the rows of a table share a budget")
    return {name: value for name, value in values.items() if name not in NO_PART}


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
    parts["knowledge"] = _known(values.get("knowledge"))
    names = {name: str(choices.get(name, "")) for name in GROUPS}
    try:
        experiment = Experiment(**{**values, **parts}, choices=names)
    except pydantic.ValidationError as error:
        raise UserError(explain_validation(error, Experiment, "")) from error
    found = experiment.dataset.resolved(experiment.data.root)
    return check(apply_scale(dataclasses.replace(experiment, dataset=found)))


def _known(node: Any) -> Any:
    """What the attacker is given, with the protocol that it takes clients to follow."""
    if not isinstance(node, Mapping) or not node.get("protocol"):
        return node
    return {**node, "protocol": build("knowledge.protocol", node["protocol"])}


def compose(*overrides: str) -> Experiment:
    """The experiment of some overrides, as on the command line: for notebooks, scripts and tests.

    Folders of images are looked at anew, for they may have changed since the last call. Raises UserError with the line
    that the command line has for a mistake.
    """
    look_again()
    with hydra_at_work():
        return parse(_composed(overrides))


def part(group: str, name: str) -> dict[str, Any]:
    """The settings of one choice, `model=lenet`, with those of the files that it begins from. Raises UserError."""
    with hydra_at_work():
        found = OmegaConf.to_container(_composed([f"{group}={name}"])[group], resolve=True)
    return cast(dict[str, Any], found)


@contextmanager
def hydra_at_work() -> Iterator[None]:
    """Hydra, with the harness's configurations."""
    prepare_hydra()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def _composed(overrides: Sequence[str]) -> DictConfig:
    try:
        return hydra.compose("config", spelt_out(overrides), return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        cause = error.__cause__
        told = str(cause) if isinstance(cause, UserError) else explain_composition(error)
        raise UserError(told) from None


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
        checks=_cap(experiment.checks, scale.steps),
    )


def _say_what_is_lowered(experiment: Experiment) -> None:
    scale = experiment.scale
    fields = {"attack": "steps", "prior": "prior_steps", "checks": "steps"}
    asked = [("trials", experiment.trials, "trials")]
    asked += [
        (name, steps, field)
        for group, field in fields.items()
        for name, steps in _budgets(group, getattr(experiment, group))
    ]
    for name, value, field in asked:
        limit = getattr(scale, field)
        if limit is not None and value > limit:
            warn_once(
                f"scale={scale.name} lowers {name} from {value} to {limit}; scale.{field}={value} allows it"
            )


def _parts(part: Component) -> dict[str, Component]:
    """The components that one is made of, by setting."""
    inner = {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}
    return {name: value for name, value in inner.items() if isinstance(value, Component)}


def _budgets(name: str, part: Component) -> Iterator[tuple[str, int]]:
    """Every number of steps in a component and in those that it is made of."""
    if isinstance(steps := getattr(part, "steps", None), int):
        yield f"{name}.steps", steps
    for inner, value in _parts(part).items():
        yield from _budgets(f"{name}.{inner}", value)


Capped = TypeVar("Capped", bound=Component)


def _cap(part: Capped, limit: int | None) -> Capped:
    """With no more steps than the limit, nor in the components that it is made of."""
    if limit is None:
        return part
    lowered: dict[str, Any] = {name: _cap(inner, limit) for name, inner in _parts(part).items()}
    if isinstance(steps := getattr(part, "steps", None), int):
        lowered["steps"] = min(steps, limit)
    same = all(value == getattr(part, name) for name, value in lowered.items())
    return part if same else dataclasses.replace(part, **lowered)
