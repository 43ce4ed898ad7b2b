"""Claims: when they hold, when they do not, and when nobody can say."""

from collections.abc import Callable

import pytest

from harness.schema import EXPERIMENTS
from harness.statistics import statistic
from harness.tables.claims import judge, judge_all
from harness.tables.measurement import Measurement, Measurements, Outcome, measure
from harness.tables.reference import read
from harness.tables.spec import Claim, Table

Measured = Callable[..., list[Outcome]]


def numbers(
    table: Table, measured: Measured, a: float | None, b: float | None, c: float | None
) -> Measurements:
    """MSE of the rows, the same under both columns; None is not measured."""
    rows = {"A": a, "B": b, "C": c}
    values = {(r, k): [v, v] for r, v in rows.items() if v is not None for k in ("X", "Y")}
    return measure(table, measured(values), {})


@pytest.mark.parametrize(
    ("a", "b", "c", "status"),
    [
        (0.1, 0.2, 0.3, "holds"),
        (0.3, 0.2, 0.3, "does not hold"),
        (0.2, 0.2, 0.3, "does not hold"),
        (0.1, None, 0.3, "not measured"),
        (None, 0.2, 0.3, "not measured"),
    ],
)
def test_the_best_row_is_better_than_every_other(
    table: Table, measured: Measured, a: float | None, b: float | None, c: float | None, status: str
) -> None:
    claim = Claim(text="A is best", row="A", metrics=["mse", "psnr"])
    assert judge(claim, table, numbers(table, measured, a, b, c)).status == status


def test_a_claim_over_one_row_does_not_ask_the_others(table: Table, measured: Measured) -> None:
    claim = Claim(text="A beats B", row="A", over=["B"], metrics=["mse"], columns=["X"])
    verdict = judge(claim, table, numbers(table, measured, 0.2, 0.3, 0.1))
    assert verdict.status == "holds"
    assert verdict.figures == ("MSE, X: A 0.200 v B 0.300 (2 of 2 images)",)


def test_one_failure_outweighs_what_is_missing(table: Table, measured: Measured) -> None:
    outcomes = measured({("A", "X"): [0.5], ("B", "X"): [0.1], ("C", "X"): [0.2]})
    verdict = judge(Claim(text="", row="A", metrics=["mse"]), table, measure(table, outcomes, {}))
    assert verdict.status == "does not hold"
    assert verdict.figures == (
        "MSE, X: A 0.500 v B 0.100 (0 of 1 images), fails",
        "MSE, Y: no value for B, C, A",
    )


def test_means_decide_and_the_images_are_counted(table: Table, measured: Measured) -> None:
    outcomes = measured({("A", "X"): [0.1, 0.1, 0.9], ("B", "X"): [0.3, 0.3, 0.2]})
    claim = Claim(text="", row="A", over=["B"], metrics=["mse"], columns=["X"])
    verdict = judge(claim, table, measure(table, outcomes, {}))
    assert verdict.status == "does not hold"
    assert verdict.figures == ("MSE, X: A 0.367 v B 0.267 (2 of 3 images), fails",)


@pytest.mark.parametrize(
    ("bound", "status"), [(-3.0, "holds"), (-2.0, "does not hold"), (-1.0, "does not hold")]
)
def test_a_bound_is_beyond_in_the_direction_of_the_metric(
    table: Table, measured: Measured, bound: float, status: str
) -> None:
    measurements = numbers(table, measured, 0.2, None, None)  # PSNR -2
    claim = Claim(text="", row="A", metrics=["psnr"], bound=bound)
    assert judge(claim, table, measurements).status == status


PUBLISHED = read(EXPERIMENTS / "reference" / "ggl_table3.csv")


@pytest.mark.parametrize(("ours", "theirs"), [("celeba32", "CelebA"), ("imagenet", "ImageNet")])
def test_the_claims_of_table_3_hold_in_the_paper_itself(table3: Table, ours: str, theirs: str) -> None:
    as_measured: dict[tuple[str, str, str], Measurement] = {}
    for row in table3.rows:
        for column in table3.columns:
            for metric in table3.metrics:
                value = PUBLISHED[theirs].get((row, column, metric))
                as_measured[row, column, metric] = Measurement({}, statistic([value]), None, ())
    verdicts = judge_all(table3, ours, as_measured)
    assert [v.text for v in verdicts if v.status != "holds"] == []
    assert len(verdicts) >= 4
