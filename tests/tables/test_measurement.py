"""From rows of images to the cells of a table, and to cells.csv."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.base.statistics import statistic
from harness.tables.measurement import Outcome, cells_csv, measure
from harness.tables.spec import Table

Measured = Callable[..., list[Outcome]]


def test_a_cell_is_the_mean_over_its_images(table: Table, measured: Measured) -> None:
    outcomes = measured({("A", "X"): [0.1, 0.2, 0.6]})
    found = measure(table, outcomes, {("A", "X", "mse"): 0.25})
    assert len(found) == 3 * 2 * 2
    cell = found["A", "X", "mse"]
    assert cell.statistic == statistic([0.1, 0.2, 0.6])
    assert cell.mean == pytest.approx(0.3)
    assert cell.published == 0.25
    assert cell.run_ids == ("AX0",)
    assert found["A", "X", "psnr"].mean == pytest.approx(-3.0)
    assert found["B", "Y", "mse"].statistic is None


def test_missing_values_are_left_out_of_the_mean_and_the_count(table: Table, measured: Measured) -> None:
    found = measure(table, measured({("A", "X"): [0.1, None, 0.3], ("B", "X"): [None]}), {})
    assert found["A", "X", "mse"].statistic == statistic([0.1, 0.3])
    assert found["B", "X", "mse"].statistic is None
    assert found["B", "X", "mse"].run_ids == ("BX0",)


def test_seeds_add_images_but_do_not_narrow_the_interval_of_the_same_ones(
    table: Table, measured: Measured
) -> None:
    values = [0.1, 0.3, 0.2, 0.25, 0.15]
    one = measured({("A", "X"): values})
    two = measured({("A", "X"): values}, seed=1)
    single, both = (measure(table, outcomes, {})["A", "X", "mse"].statistic for outcomes in (one, one + two))
    assert single is not None
    assert both is not None
    assert [both.n, both.mean] == pytest.approx([10, single.mean])
    assert both.low == pytest.approx(single.low)


def test_a_run_that_two_cells_share_counts_once(table: Table, measured: Measured) -> None:
    outcomes = measured({("A", "X"): [0.1, 0.3]})
    found = measure(table, outcomes * 2, {})["A", "X", "mse"]
    assert found.run_ids == ("AX0",)
    assert found.statistic == statistic([0.1, 0.3])


def test_the_csv_is_tidy(table: Table, measured: Measured) -> None:
    outcomes = measured({("A", "X"): [0.1, 0.3], ("B", "X"): []}) + measured({("A", "X"): [0.2, 0.4]}, seed=1)
    text = cells_csv(measure(table, outcomes, {("A", "X", "mse"): 0.5, ("B", "X", "mse"): 0.6}))
    lines = list(csv.DictReader(io.StringIO(text)))
    assert list(lines[0]) == [
        "row", "column", "metric", "n", "mean", "std", "ci_low", "ci_high", "values", "published", "inside", "ratio",
        "run_ids",
    ]  # fmt: skip
    assert len(lines) == 12
    expected = statistic([0.1, 0.3, 0.2, 0.4], [0, 1, 0, 1])
    assert expected is not None
    first = lines[0]
    assert (first["row"], first["column"], first["metric"]) == ("A", "X", "mse")
    assert [float(first[name]) for name in ("mean", "std", "ratio")] == [
        expected.mean, expected.std, expected.mean / 0.5,
    ]  # fmt: skip
    assert (first["ci_low"], first["ci_high"], first["values"], first["inside"]) == ("", "", "0.15 0.35", "")
    assert first["run_ids"] == "AX0 AX1"
    (failed,) = [line for line in lines if (line["row"], line["column"], line["metric"]) == ("B", "X", "mse")]
    assert failed == {
        "row": "B", "column": "X", "metric": "mse", "n": "0", "mean": "", "std": "", "ci_low": "", "ci_high": "",
        "values": "", "published": "0.6", "inside": "", "ratio": "", "run_ids": "",
    }  # fmt: skip


@pytest.mark.parametrize(("published", "inside"), [(0.2, True), (0.5, False)])
def test_a_published_number_is_inside_the_interval_or_outside(
    table: Table, measured: Measured, published: float, inside: bool
) -> None:
    outcomes = measured({("A", "X"): [0.1, 0.3, 0.2, 0.25, 0.15]})
    found = measure(table, outcomes, {("A", "X", "mse"): published, ("A", "X", "psnr"): 5.0})
    cell = found["A", "X", "mse"]
    assert cell.inside == inside
    assert cell.ratio == pytest.approx(0.2 / published)
    assert found["A", "X", "psnr"].ratio is None, "a negative number has no ratio to a positive one"


@pytest.mark.parametrize(("independent", "units"), [("image", 5), ("client", 10), ("block", 6), ("seed", 2)])
def test_what_is_drawn_together_is_one_unit(
    table: Table, measured: Measured, independent: str, units: int
) -> None:
    rows = {("A", "X"): [0.1, 0.3, 0.2, 0.25, 0.15]}
    outcomes = [*measured(rows), *measured(rows, seed=1)]
    own = replace(table, independent=independent, block=2)  # type: ignore[arg-type]
    assert len(set(measure(own, outcomes, {})["A", "X", "mse"].units.values())) == units
