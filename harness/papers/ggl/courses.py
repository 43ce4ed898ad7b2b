"""How fast each optimiser lowers the matching loss (Li et al. 2022, beside Table 2)."""

from collections.abc import Sequence
from pathlib import Path

from harness.attacks.ggl import GGL
from harness.attacks.solvers.turbo import TuRBO
from harness.base.files import write_atomically
from harness.base.rows import to_csv
from harness.core import component
from harness.papers.ggl.curves import Line, course, draw, page
from harness.runs.clients import open_targets
from harness.store.records import Store
from harness.tables.measurement import Outcome
from harness.tables.supplement import Supplement

NAMES = ("row", "column", "seed", "run", "problem", "evaluation", "matching")


@component
class OptimizerCourses(Supplement):
    """courses.csv, courses.png and courses.md: for each row and seed the matching loss at the best point so far.

    Best is so by a search's own objective. Only runs whose traces say how good that was have a course.
    """

    def write(self, dataset: str, outcomes: Sequence[Outcome], store: Store, directory: Path) -> None:
        done = [one for one in outcomes if one.record and one.experiment]
        lines = {one.cell.row: found for one in done if (found := line(one))}
        tensors = _tensors(done[0]) if done else 1
        rows = [row for one in done if one.cell.row in lines for row in _rows(one, store, tensors)]
        if not rows:
            return
        text = to_csv([NAMES, *rows])
        write_atomically(directory / "courses.csv", text.encode())
        write_atomically(directory / "courses.png", draw(text, [*lines.values()], dataset))
        write_atomically(directory / "courses.md", page(text, [*lines.values()], dataset).encode())


def line(outcome: Outcome) -> Line | None:
    """What is to be said of a row; None: it is no GGL."""
    assert outcome.experiment is not None
    attack = outcome.experiment.attack
    if not isinstance(attack, GGL):
        return None
    rule = attack.optimizer
    initial = rule.initial if isinstance(rule, TuRBO) else None
    start = STARTS[attack.start] if initial is None else f"{initial} points of a Latin hypercube, which count"
    weights = {"KL divergence": 0.0 if attack.squash else attack.kl, "norm": attack.norm}
    beside = " and ".join(f"{weight:g} times the {name}" for name, weight in weights.items() if weight)
    kind = "values and gradients" if rule.uses_gradient else "values alone"
    told = f"{attack.steps * attack.per_round} evaluations at most, of {kind}; starts at {start}; minimises "
    return Line(
        outcome.cell.row, told + ("the matching loss" + (f" and {beside}" if beside else "")), initial
    )


STARTS = {
    "zeros": "the mean latent vector, 0",
    "normal": "a draw from N(0, 1)",
    "uniform": "a draw from the unit cube",
}


def _tensors(outcome: Outcome) -> int:
    """Of how many tensors an update consists."""
    assert outcome.experiment is not None
    return len(open_targets(outcome.experiment)[0].problem.observation.update)


def _rows(outcome: Outcome, store: Store, tensors: int) -> list[Sequence[object]]:
    experiment = outcome.experiment
    assert experiment is not None
    assert isinstance(experiment.attack, GGL)
    whole = experiment.attack.distance == "l2" and not experiment.attack.per_tensor
    found = {
        problem: course(trace, tensors if whole else 1) for problem, trace in outcome.traces(store).items()
    }
    return [
        (outcome.cell.row, outcome.cell.column, outcome.cell.seed, outcome.id, problem, place, f"{loss:.6g}")
        for problem, curve in found.items()
        for place, loss in curve
    ]
