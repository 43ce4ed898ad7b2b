"""The search over the settings of one row, by optuna's tree-structured Parzen estimator."""

import importlib
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from harness.base.errors import UserError, shortened
from harness.tuning.spec import Range, Settings, Space, Value

DIGITS = 3
"""Of a number that is tried: enough to tune by, and short enough to be written down."""


class Study:
    """Candidates are asked for in lots, and told what came of them.

    What is asked depends on the space, the seed and what was told alone: a study that is begun anew over the same store
    asks for the same candidates, and goes on where it stopped.
    """

    def __init__(self, space: Space, seed: int, higher_is_better: bool, first: Mapping[str, Value]) -> None:
        optuna = _optuna()
        self.space = space
        self.asked: dict[int, Any] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        direction = "maximize" if higher_is_better else "minimize"
        self.study = optuna.create_study(direction=direction, sampler=sampler)
        self.study.enqueue_trial(dict(first))
        self.failed = optuna.trial.TrialState.FAIL

    def ask(self) -> tuple[int, Settings]:
        """The number and the settings of another candidate."""
        trial = self.study.ask()
        self.asked[trial.number] = trial
        return trial.number, tuple((name, _suggested(trial, name, each)) for name, each in self.space.items())

    def tell(self, number: int, value: float | None) -> None:
        """What came of a candidate; None: nothing."""
        if value is None:
            self.study.tell(self.asked.pop(number), state=self.failed)
        else:
            self.study.tell(self.asked.pop(number), value)


def own_settings(space: Space, config: Mapping[str, Any], row: str) -> dict[str, Value]:
    """The values that a row has for what is searched. Raises UserError for a setting that it has not, and for a value
    outside of the space: what is found could be worse than what is there."""
    found: dict[str, Value] = {}
    for name, each in space.items():
        value = _inside(config, name)
        if value is None:
            raise UserError(f"{row}: {name} has no value that could be tuned")
        if not _holds(each, value):
            raise UserError(f"{row}: {name} is {shortened(value)}, which is not in its space")
        found[name] = value
    return found


def _holds(space: Range | list[Value], value: Any) -> bool:
    if isinstance(space, list):
        return value in space
    return isinstance(value, int | float) and space.low <= value <= space.high


def _inside(config: Mapping[str, Any], name: str) -> Any:
    found: Any = config
    for key in name.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _suggested(trial: Any, name: str, space: Range | list[Value]) -> Value:
    if isinstance(space, list):
        chosen: Value = trial.suggest_categorical(name, space)
        return chosen
    if space.integer:
        whole: int = trial.suggest_int(name, int(space.low), int(space.high), log=space.log)
        return whole
    return float(f"{trial.suggest_float(name, space.low, space.high, log=space.log):.{DIGITS}g}")


def _optuna() -> Any:
    try:
        optuna = importlib.import_module("optuna")
    except ImportError as error:
        raise UserError("tune=NAME needs optuna: pip install 'gradient-inversion-harness[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def lots(candidates: int, at_once: int) -> Iterator[int]:
    """How many candidates are asked for together, until there are enough."""
    done = 0
    while done < candidates:
        many = min(at_once, candidates - done)
        yield many
        done += many
