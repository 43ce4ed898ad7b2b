"""What rounding alone decides: DLG from starts that differ in the sixth digit, ours and the authors'."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

import torch

from harness.attacks.optimization import OptimizationAttack
from harness.bench import serial
from harness.bench.attacks import CASES, SUCCESS, open_clients
from harness.bench.report import BenchResult
from harness.core import Attempt, Problem, generator
from harness.runs.clients import Clients

CASE = CASES["dlg_mnist"]
SHIFT = 1e-6
REPEATS = {"ours": 8, "serial": 3}
"""The unshifted starts, and shifts of them."""

Solved = frozenset[int]


def measure(problems: int) -> list[BenchResult]:
    """How many problems each side solves in every repeat, and how many come out differently from one to another.

    If two repeats of one side differ as much as the two sides do, it is rounding that tells the sides apart.
    """
    clients, dataset = open_clients(CASE, problems)
    solved = {side: [solve(clients, side, repeat) for repeat in range(n)] for side, n in REPEATS.items()}
    return [summarise(solved, dataset, problems)]


def solve(clients: Clients, side: str, repeat: int) -> Solved:
    """The problems that a side solves from the starts of a repeat."""
    attack = clients.experiment.attack
    assert isinstance(attack, OptimizationAttack)
    chosen = {position: clients[position] for position in range(clients.trials)}
    shifted = [_shifted(attack, client.problem, repeat) for client in chosen.values()]
    if side == "ours":
        found = {one.problem: one.x for one in attack(shifted)}
    else:
        found = {problem.id: _serial(attack, problem) for problem in shifted}
    errors = {k: float((x - chosen[k].truth.x).square().mean()) for k, x in found.items()}
    solved = frozenset(k for k, error in errors.items() if error < SUCCESS)
    print(f"rounding: {side}, repeat {repeat}, {len(solved)} solved", flush=True)
    return solved


def summarise(solved: Mapping[str, list[Solved]], dataset: str, problems: int) -> BenchResult:
    """Counts and differences of the sets of solved problems."""
    details: dict[str, float | str] = {"data": dataset, "problems": problems, "shift of the starts": SHIFT}
    for side, sets in solved.items():
        details[f"solved, {side}"] = ", ".join(str(len(each)) for each in sets)
        details[f"solved on average, {side}"] = sum(map(len, sets)) / len(sets)
        details[f"differ from one repeat to another, {side}"] = _difference(list(combinations(sets, 2)))
    both = list(zip(solved["ours"], solved["serial"], strict=False))
    details["differ between the sides, same start"] = _difference(both)
    return BenchResult("rounding", None, details)


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


def _serial(attack: OptimizationAttack, problem: Problem) -> torch.Tensor:
    start = attack.initial(problem.observation, Attempt(problem, 0).generator())
    label = torch.zeros(1, dtype=torch.int64)  # DLG searches for it
    return serial.attack(problem.observation, start["images"], start["logits"], label, CASE.steps).x


def _difference(pairs: list[tuple[Solved, Solved]]) -> float:
    """How many problems only one of a pair solves, on average."""
    return sum(len(one ^ other) for one, other in pairs) / len(pairs)
