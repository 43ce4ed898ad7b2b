"""What an update's own numbers say of the recipe, before any attack: each with its figure and the healthy range."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from harness.audit.case import PREFIX, Case, rounding
from harness.base.errors import UserError
from harness.checks import structure
from harness.checks.thresholds import Thresholds

SENT = Thresholds()
"""What a client would let pass of the model that it was sent."""
REACH = "reach of the head's bias"
Verdict = Literal["ok", "alarm", "not applicable"]


@dataclass(frozen=True)
class Check:
    """One line of the report; `value` is None where the check does not apply."""

    name: str
    value: float | None
    healthy: str
    verdict: Verdict
    meaning: str


@dataclass(frozen=True)
class _Range:
    low: float = -math.inf
    high: float = math.inf

    def __str__(self) -> str:
        return f"<= {self.high:g}" if self.low == -math.inf else f">= {self.low:g}"

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True)
class _Rule:
    name: str
    healthy: _Range
    meaning: str
    measure: Callable[[Case], float | None]


def column_sums(case: Case) -> float | None:
    """The norm of the head's column sums over the norm of its update: cross-entropy's slopes sum to zero over classes.

    Less what rounding leaves of them.
    """
    weight, _ = _head(case)
    if weight is None or case.recipe.weight_decay:
        return None
    before = case.update.before[f"{case.model.head.removeprefix(PREFIX)}.weight"].double()
    steps = max(case.steps or 1, 1)
    noise = 0.0 if case.update.is_gradient else rounding(before, False) * math.sqrt(weight.numel() * steps)
    return float(max(weight.sum(0).norm() - 2 * noise, 0.0) / weight.norm())


def bias_sum(case: Case) -> float | None:
    """The sum of the head's bias update in units of rounding, times the root of the steps."""
    _, bias = _head(case)
    if bias is None or case.recipe.weight_decay:
        return None
    before = case.update.before[f"{case.model.head.removeprefix(PREFIX)}.bias"].double()
    after = before - bias  # where it began at zero, rounding is that of the sum
    unit = rounding(torch.maximum(before.abs(), after.abs()), False) * math.sqrt(12)
    if case.update.is_gradient:
        unit = float(bias.abs().max()) * 2**-23
    return float(bias.sum().abs()) / (unit * math.sqrt(len(bias) * (case.steps or 1)))


def reach(case: Case) -> float | None:
    """How far the head's bias moved, of how far it could: a learning rate that is too small is refuted, no other."""
    _, bias = _head(case)
    recipe, steps = case.recipe, case.steps
    if bias is None or steps is None or recipe.lr is None or case.update.is_gradient:
        return None
    return float(bias.abs().sum()) / (2 * recipe.lr * furthest(steps, recipe.momentum))


def furthest(steps: int, momentum: float) -> float:
    """How often SGD applies a gradient that stays the same, over its steps."""
    return (steps - momentum * (1 - momentum**steps) / (1 - momentum)) / (1 - momentum)


def risen(case: Case) -> float | None:
    """How many classes' biases rose, for each example: one that no image has falls at every step.

    None where all classes may be there, and where weight decay moves biases too.
    """
    _, bias = _head(case)
    examples = case.recipe.examples
    if bias is None or examples is None or examples >= case.classes or case.recipe.weight_decay:
        return None
    return int((bias < -1e-3 * bias.abs().max()).sum()) / examples


def distinct_inputs(case: Case) -> float | None:
    """Distinct inputs of a first layer that sees the images, for each example."""
    examples = case.recipe.examples
    first = case.layers[0] if case.layers and case.layers[0].images else None
    dense = None if first is None or case.coupled else case.dense(first)
    return None if dense is None or dense.rank is None or examples is None else dense.rank / examples


def zeros(case: Case) -> float | None:
    """The lesser share of exact zeros in the first layer and in the head, but for silent units and features.

    Between them a few images of a ReLU network leave many zeros, which say nothing.
    """
    weight, _ = _head(case)
    first = next((value for value in case.update.change.values() if value.ndim > 1), None)
    if weight is None or first is None:
        return None
    return min(_zeros(first.flatten(1)), _zeros(weight.flatten(1)))


def _zeros(rows: Tensor) -> float:
    moved = rows != 0
    kept = moved[moved.any(1)][:, moved.any(0)]
    return 1 - float(kept.double().mean())


def distinct(case: Case) -> float | None:
    """Distinct values among those that are not zero."""
    values = _values(case)
    return len(values.abs().unique()) / len(values) if len(values) >= 1000 else None


def halves(case: Case) -> float:
    """The share of values that half precision holds exactly."""
    values = _values(case)
    if not case.update.is_gradient:
        values = torch.cat(
            [
                (case.update.before[name].double() - value).flatten()
                for name, value in case.update.change.items()
            ]
        )
    values = values[values != 0]
    return float((values.half().double() == values).double().mean())


def variation(case: Case) -> float:
    """The coefficient of variation of the absolute values: of signs, and of a first step of Adam, there is none."""
    values = _values(case).abs()
    return float(values.std() / values.mean())


def roundness(case: Case) -> float:
    """How far the whole norm is from a number of two digits: clipping leaves just its bound."""
    norm = float(_values(case).norm())
    rounded = float(f"{norm:.1e}")
    return abs(norm / rounded - 1)


def _values(case: Case) -> Tensor:
    values = torch.cat([value.flatten() for value in case.update.change.values()])
    return values[values != 0]


def _sent_head(case: Case) -> tuple[Tensor | None, Tensor | None]:
    name = case.model.head.removeprefix(PREFIX)
    return case.update.before.get(f"{name}.weight"), case.update.before.get(f"{name}.bias")


def _head(case: Case) -> tuple[Tensor | None, Tensor | None]:
    name = case.model.head.removeprefix(PREFIX)
    return case.update.change.get(f"{name}.weight"), case.update.change.get(f"{name}.bias")


RULES = (
    _Rule(
        "column sums of the head",
        _Range(high=2e-4),
        "noise, quantisation, sparsification, weight decay, Adam, another loss",
        column_sums,
    ),
    _Rule("sum of the head's bias", _Range(high=4.0), "noise, half precision, Adam, weight decay", bias_sum),
    _Rule(REACH, _Range(high=1.0), "lr or the steps are too small (too large is not seen)", reach),
    _Rule(
        "classes that rose, for each example",
        _Range(high=1.0),
        "before and after are swapped, or a gradient has the other sign; examples is too small; smoothed labels",
        risen,
    ),
    _Rule(
        "distinct inputs, for each example",
        _Range(high=1.0),
        "examples is too small, or images were augmented anew (fewer are no alarm: images may be equal, or known)",
        distinct_inputs,
    ),
    _Rule("exact zeros", _Range(high=0.2), "sparsification", zeros),
    _Rule("distinct values", _Range(low=0.055), "quantisation, or signs", distinct),
    _Rule("half-precision values", _Range(high=0.05), "half precision", halves),
    _Rule("variation of sizes", _Range(low=0.4), "signs, or one of the first steps of Adam", variation),
    _Rule(
        "distance of the norm from a round number",
        _Range(low=1e-5),
        "clipping to a round bound (to another one is not seen)",
        roundness,
    ),
    _Rule(
        "parallel rows in the model that was sent",
        _Range(high=SENT.parallel_rows),
        "a server that planted an imprint block (RTF), from which it reads images",
        lambda case: structure.parallel_rows(case.update.before),
    ),
    _Rule(
        "half-negated rows in the model that was sent",
        _Range(high=SENT.half_negated_rows),
        "a server that planted trap weights, from which it reads images",
        lambda case: structure.half_negated_rows(case.update.before),
    ),
    _Rule(
        "bias of a silent class in the model that was sent",
        _Range(high=SENT.silent_bias),
        "a server that fishes for the images of a class",
        lambda case: structure.loud_bias(*_sent_head(case)),
    ),
)


def check(case: Case) -> list[Check]:
    """Every check, in the order of what it is worth. Raises UserError for a learning rate that the update refutes."""
    found = [_judged(rule, rule.measure(case)) for rule in RULES]
    moved = next(each for each in found if each.name == REACH)
    others = [each for each in found if each.verdict == "alarm" and each is not moved]
    if moved.verdict == "alarm" and not others:
        assert moved.value is not None
        raise UserError(
            f"lr: the head's bias moved {moved.value:.3g} times as far as lr {case.recipe.lr:g} and "
            f"{case.steps} steps let it: is lr larger, or were there more steps?"
        )
    return found


def _judged(rule: _Rule, value: float | None) -> Check:
    if value is None or not math.isfinite(value):
        return Check(rule.name, None, str(rule.healthy), "not applicable", rule.meaning)
    return Check(
        rule.name, value, str(rule.healthy), "ok" if value in rule.healthy else "alarm", rule.meaning
    )
