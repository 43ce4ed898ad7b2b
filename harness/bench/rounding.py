"""What rounding alone decides: DLG from starts that differ in the sixth digit, ours and the authors'."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

import torch

from harness.attacks.optimization import OptimizationAttack
from harness.bench import serial
from harness.bench.attacks import CASES, SUCCESS, open_clients
from harness.bench.report import Measurement
from harness.core import Attempt, Problem, generator

SHIFT = 1e-6
REPEATS = 6
"""The unshifted starts, and five shifts of them."""

Solved = frozenset[int]


def measure(problems: int) -> list[Measurement]:
    """How many problems each side solves in every repeat, and how many come out differently from one to another.

    If two repeats of one side differ as much as the two sides do, it is rounding that tells the sides apart.
    """
    case = CASES["dlg_mnist"]
    clients, dataset = open_clients(case, problems)
    attack = clients.experiment.attack
    assert isinstance(attack, OptimizationAttack)
    truth = {position: clients[position].truth.x for position in range(problems)}
    solved: dict[str, list[Solved]] = {"ours": [], "serial": []}
    for repeat in range(REPEATS):
        shifted = [_shifted(attack, clients[position].problem, repeat) for position in range(problems)]
        solved["ours"].append(_solved({one.problem: one.x for one in attack(shifted)}, truth))
        found = {problem.id: _serial(attack, problem, case.steps) for problem in shifted}
        solved["serial"].append(_solved(found, truth))
        print(f"rounding: {repeat + 1}/{REPEATS}, {[len(each[-1]) for each in solved.values()]}", flush=True)
    details: dict[str, float | str] = {"data": dataset, "problems": problems, "shift of the starts": SHIFT}
    for side, sets in solved.items():
        details[f"solved, {side}"] = ", ".join(str(len(each)) for each in sets)
        details[f"solved on average, {side}"] = sum(map(len, sets)) / len(sets)
        details[f"differ from one repeat to another, {side}"] = _difference(list(combinations(sets, 2)))
    both = list(zip(solved["ours"], solved["serial"], strict=True))
    details["differ between the sides, same start"] = _difference(both)
    return [Measurement("rounding", None, details)]


def _shifted(attack: OptimizationAttack, problem: Problem, repeat: int) -> Problem:
    """The problem with its own start, moved a little; repeat 0 is the start itself."""
    observation = problem.observation
    start = attack.initial(observation, Attempt(problem, 0).generator())["images"]
    noise = torch.randn(start.shape, generator=generator("shift", problem.seed, repeat))
    start = observation.model.normalize.invert(start + (SHIFT if repeat else 0.0) * noise)
    return replace(
        problem,
        observation=replace(observation, knowledge=replace(observation.knowledge, start=start)),
    )


def _serial(attack: OptimizationAttack, problem: Problem, steps: int) -> torch.Tensor:
    start = attack.initial(problem.observation, Attempt(problem, 0).generator())
    label = torch.zeros(1, dtype=torch.int64)  # DLG searches for it
    return serial.attack(problem.observation, start["images"], start["logits"], label, steps).x


def _solved(found: Mapping[int, torch.Tensor], truth: Mapping[int, torch.Tensor]) -> Solved:
    return frozenset(k for k, x in found.items() if float((x - truth[k]).square().mean()) < SUCCESS)


def _difference(pairs: list[tuple[Solved, Solved]]) -> float:
    """How many problems only one of a pair solves, on average."""
    return sum(len(one ^ other) for one, other in pairs) / len(pairs)
