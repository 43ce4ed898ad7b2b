"""The table of GGL: every cell composes at every scale, and says what the paper says."""

import pytest

from harness.config.composition import compose
from harness.tables.spec import Table

CHOICES = [("smoke", "digits32"), ("small", "digits32"), ("small", "tile_sheets"), ("medium", "tile_sheets")]
CHOICES += [("paper", "celeba32"), ("paper", "imagenet")]


@pytest.mark.parametrize(("scale", "dataset"), CHOICES)
def test_every_row_and_column_composes(table3: Table, scale: str, dataset: str) -> None:
    first_row, first_column = next(iter(table3.rows)), next(iter(table3.columns))
    cells = [c for c in table3.cells(dataset, scale) if c.row == first_row or c.column == first_column]
    experiments = [compose(*cell.overrides) for cell in cells]
    assert len({experiment.id for experiment in experiments}) == len(cells) == 8
    for cell, experiment in zip(cells, experiments, strict=True):
        assert experiment.choices["prior"] == "none" or cell.row == "GGL"
        assert experiment.knowledge.defense == (cell.row == "GGL")
        assert not experiment.knowledge.labels


def test_the_paper_scale_has_the_papers_settings(table3: Table) -> None:
    cells = {
        (c.row, c.column): compose(*c.overrides) for c in table3.cells("celeba32", "paper") if c.row == "GGL"
    }
    defences = {column: experiment.defense for (_, column), experiment in cells.items()}
    assert defences["Additive noise"].sigma == 0.1  # type: ignore[attr-defined]
    assert defences["Clipping"].bound == 4.0  # type: ignore[attr-defined]
    assert defences["Sparsification"].percent == 90  # type: ignore[attr-defined]
    assert defences["Soteria"].percent == 80  # type: ignore[attr-defined]
    attack = cells["GGL", "Clipping"].attack
    assert (attack.steps, attack.per_round, attack.kl) == (500, 50, 0.1)  # type: ignore[attr-defined]


def test_imagenet_at_the_paper_scale_is_the_papers_other_setting(table3: Table) -> None:
    cells = {
        c.row: compose(*c.overrides) for c in table3.cells("imagenet", "paper") if c.column == "Clipping"
    }
    assert {experiment.choices["model"] for experiment in cells.values()} == {"resnet18_imagenet"}
    assert [cells[row].attack.steps for row in ("DLG", "iDLG", "IG", "GI")] == [1200, 1200, 24000, 24000]
    ggl = cells["GGL"]
    assert ggl.choices["prior"] == "biggan"
    assert (ggl.attack.squash, ggl.attack.start) == (True, "uniform")  # type: ignore[attr-defined]


def test_metrics_exist_and_point_where_their_classes_say(table3: Table) -> None:
    scores = compose("dataset=digits32").metric.higher_is_better
    assert {name: scores[name] for name in table3.metrics} == {
        name: metric.higher_is_better for name, metric in table3.metrics.items()
    }
