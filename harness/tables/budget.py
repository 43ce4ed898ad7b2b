"""How much of the paper's budget each row of a table had."""

from collections.abc import Mapping, Sequence

from harness.attacks.optimization import OptimizationAttack
from harness.core import Attack
from harness.tables.layout import Cell
from harness.tables.measurement import Outcome
from harness.tables.spec import Table

PAPER = "paper"
"""The scale at which a table has the paper's own settings."""
LITTLE = 0.5
"""The part of the paper's budget below which a verdict is one at this budget."""

Budgets = Mapping[str, float]
"""The part of the paper's budget that a row had for an image."""


def papers(table: Table, dataset: str, scale: str) -> list[Cell]:
    """Of every row one cell as the paper has it, without the user's own settings; none at the paper's own scale."""
    if scale == PAPER:
        return []
    return list({cell.row: cell for cell in table.cells(dataset, PAPER, seeds=[0])}.values())


def budgets(outcomes: Sequence[Outcome], paper: Mapping[str, Attack]) -> dict[str, float]:
    """Steps of all attempts that an image was given at most, as a part of those of the paper, by row.

    A row of several cells has the least of them.
    """
    found: dict[str, float] = {}
    for outcome in outcomes:
        row = outcome.cell.row
        if outcome.experiment is not None and row in paper:
            part = effort(outcome.experiment.attack) / effort(paper[row])
            found[row] = min(part, found.get(row, part))
    return found


def effort(attack: Attack) -> int:
    """Steps of all attempts at one image; where a paper counts several evaluations as a step, those."""
    per_step = attack.evaluations_per_step if isinstance(attack, OptimizationAttack) else 1
    return attack.steps * attack.restarts * per_step


def poor(found: Budgets) -> list[str]:
    """The rows that had less than half of the paper's budget."""
    return [row for row, part in found.items() if part < LITTLE]


def note(found: Budgets) -> list[str]:
    """A line that names them."""
    told = ", ".join(f"{row} {percent(found[row])}" for row in poor(found))
    if not told:
        return []
    return [f"Less than half of the paper's budget (steps x attempts for an image): {told} of it."]


def percent(part: float) -> str:
    return f"{part:.0%}" if part >= 0.01 else f"{part:.1%}"
