"""How much of the paper's budget each row of a table had."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.cells.plan import Plan, key, latest
from harness.core import Attack
from harness.tables.layout import Cell, Overrides
from harness.tables.measurement import Outcome
from harness.tables.spec import Table

PAPER = "paper"
"""The scale at which a table has the paper's own settings."""
LITTLE = 0.5
"""The part of the paper's budget below which a verdict is one at this budget."""

Budgets = Mapping[str, float]
"""The part of the paper's budget that a row had for an image."""


def papers(table: Table, dataset: str, scale: str, user: Overrides) -> list[Cell]:
    """Of every row one cell as the paper has it, of the user's settings only with where the data are; none at the
    paper's own scale."""
    if scale == PAPER:
        return []
    where = [override for override in user if key(override) == "data.root"]
    return list({cell.row: cell for cell in table.cells(dataset, PAPER, where, seeds=[0])}.values())


def budgets(outcomes: Sequence[Outcome], paper: Mapping[str, Attack]) -> dict[str, float]:
    """Steps of all attempts that an image was given at most, as a part of those of the paper, by row.

    A row of several cells has the least of them.
    """
    found: dict[str, float] = {}
    for outcome in outcomes:
        row = outcome.cell.row
        if outcome.experiment is not None and row in paper:
            part = outcome.experiment.attack.evaluations / paper[row].evaluations
            found[row] = min(part, found.get(row, part))
    return found


def shared(plan: Plan[Cell]) -> list[Cell]:
    """The cells of a table, each with the steps that give its search as many evaluations for an image as the search
    with the fewest has.

    A step may be many evaluations, and there is one at least: they are alike but for less than one step.
    """
    units = {c: replace(e.attack, steps=1).evaluations for c, e in plan.items() if e.attack.searches}
    if not units:
        return list(plan)
    evaluations = max(min(plan[cell].attack.evaluations for cell in units), *units.values())
    return [_with_steps(cell, evaluations // units[cell]) if cell in units else cell for cell in plan]


def _with_steps(cell: Cell, steps: int) -> Cell:
    return replace(cell, overrides=latest([*cell.overrides, f"attack.steps={steps}"]))


def told(table: Table, outcomes: Sequence[Outcome]) -> list[str]:
    """A line that says how many evaluations all rows had alike, where that was asked for."""
    attacks = [o.experiment.attack for o in outcomes if o.experiment is not None]
    counts = sorted({attack.evaluations for attack in attacks if attack.searches})
    if table.budget != "equal" or not counts:
        return []
    many = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}, whole steps being alike"
    return [f"Equal budget: every row has at most {many} evaluations for an image, over all of its attempts."]


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
