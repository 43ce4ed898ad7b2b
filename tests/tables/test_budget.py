"""What part of the paper's budget a row had."""

from dataclasses import replace

import pytest

from harness.config.composition import compose
from harness.config.experiment import Experiment
from harness.core import UserError
from harness.tables.budget import budgets, note, papers, poor, shared
from harness.tables.layout import Cell
from harness.tables.measurement import Outcome
from harness.tables.spec import Table


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return compose("attack=ig", "attack.steps=300", "attack.restarts=1")


def outcome(row: str, experiment: Experiment) -> Outcome:
    return Outcome(Cell(row, "X", 0, ()), row, experiment.config, None, None, experiment)


def test_steps_of_all_attempts_count(experiment: Experiment) -> None:
    paper = replace(experiment.attack, steps=400, restarts=4)
    half = replace(experiment, attack=replace(experiment.attack, steps=800))
    found = budgets([outcome("IG", experiment), outcome("Half", half)], {"IG": paper, "Half": paper})
    assert found == {"IG": 300 / 1600, "Half": 0.5}
    assert poor(found) == ["IG"]
    assert note(found) == [
        "Less than half of the paper's budget (steps x attempts for an image): IG 19% of it."
    ]
    assert note({"Half": 0.5}) == []


def test_a_round_of_evaluations_is_as_many() -> None:
    attack = compose("attack=ggl", "attack.steps=16", "prior=wgan_gp_small").attack
    assert attack.evaluations == 16 * 50


def test_an_equal_budget_is_that_of_the_search_with_the_fewest_evaluations() -> None:
    """Rounds of evaluations and attempts count as what they are; what does not search is left alone."""
    rows = {
        "IG": ["attack=ig", "attack.steps=300", "attack.restarts=2"],
        "DLG": ["attack=dlg", "attack.steps=9"],
        "GGL": ["attack=ggl", "attack.steps=16", "prior=wgan_gp_small"],
        "RTF": ["attack=rtf", "model=imprint_mlp"],
    }
    cells = [Cell(row, "X", 0, tuple(overrides)) for row, overrides in rows.items()]
    found = {cell.row: cell for cell in shared({cell: compose(*cell.overrides) for cell in cells})}
    assert found["RTF"] == cells[-1]
    attacks = {row: compose(*found[row].overrides).attack for row in ("IG", "DLG", "GGL")}
    assert {row: attack.steps for row, attack in attacks.items()} == {"IG": 90, "DLG": 9, "GGL": 3}
    assert [attack.evaluations for attack in attacks.values()] == [180, 180, 150]


def test_a_search_has_one_step_at_least() -> None:
    cells = [Cell("IG", "X", 0, ("attack=ig", "attack.steps=3")), Cell("DLG", "X", 0, ("attack=dlg",))]
    found = shared({cell: compose(*cell.overrides) for cell in cells})
    assert [compose(*cell.overrides).attack.evaluations for cell in found] == [20, 20]


def test_only_a_table_has_rows_that_share_a_budget() -> None:
    with pytest.raises(UserError, match="budget=equal: only the rows of a table share a budget"):
        compose("budget=equal")


def test_the_papers_budgets_are_those_of_its_own_scale(table3: Table) -> None:
    cells = papers(table3, "celeba32", "medium", ["attack.steps=5", "data.root=faces"])
    assert [cell.row for cell in cells] == list(table3.rows)
    assert "attack.steps=8000" in next(cell for cell in cells if cell.row == "IG").overrides
    assert all("data.root=faces" in cell.overrides for cell in cells)
    assert not any("attack.steps=5" in cell.overrides for cell in cells)
    assert papers(table3, "celeba32", "paper", []) == []
