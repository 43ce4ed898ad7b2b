"""The kinds of claim: each holds, fails and stays undecided where it should."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from harness.core import UserError
from harness.tables.claims.bound import Bound
from harness.tables.claims.equal import Equal
from harness.tables.claims.lowest import Lowest
from harness.tables.claims.success import Success
from harness.tables.claims.trend import Trend
from harness.tables.claims.verdict import judge
from harness.tables.measurement import Measurements
from harness.tables.spec import Table, parse

Of = Callable[[Mapping[tuple[str, str, str], Sequence[Any]]], Measurements]
PSNR = [20.0, 21.0, 19.5, 22.0, 20.5, 21.5]


@pytest.mark.parametrize(
    ("bound", "status"), [(18.0, "holds"), (20.7, "undecided"), (25.0, "does not hold"), (20.75, "undecided")]
)
def test_a_bound_is_beyond_in_the_direction_of_the_metric(
    table: Table, of: Of, bound: float, status: str
) -> None:
    claim = Bound(text="", row="A", metrics=["psnr"], columns=["X"], bound=bound)
    assert judge(claim, table, of({("A", "X", "psnr"): PSNR})).status == status


@pytest.mark.parametrize(
    ("values", "status"), [([0.05] * 3 + [0.04] * 3, "holds"), ([0.2, 0.21, 0.22, 0.2, 0.2], "does not hold")]
)
def test_a_bound_of_what_should_be_small_is_from_above(
    table: Table, of: Of, values: list[float], status: str
) -> None:
    claim = Bound(text="", row="A", metrics=["mse"], columns=["X"], bound=0.1)
    assert judge(claim, table, of({("A", "X", "mse"): values})).status == status


@pytest.mark.parametrize(
    ("hits", "rate", "below", "status"),
    [
        (20, 0.8, False, "holds"),
        (17, 0.8, False, "undecided"),
        (5, 0.8, False, "does not hold"),
        (5, 0.8, True, "holds"),
        (20, 0.8, True, "does not hold"),
    ],
)
def test_a_rate_of_success_above_or_below_a_number(
    table: Table, of: Of, hits: int, rate: float, below: bool, status: str
) -> None:
    values = [35.0] * hits + [12.0] * (20 - hits)
    claim = Success(text="", row="A", metrics=["psnr"], columns=["X"], bound=30.0, rate=rate, below=below)
    verdict = judge(claim, table, of({("A", "X", "psnr"): values}))
    assert verdict.status == status
    assert f"A ≥ 30 in {hits} of 20, {hits / 20:.1%}" in verdict.figures[0]


def test_what_is_true_or_false_succeeds_where_it_is_true(table: Table, of: Of) -> None:
    claim = Success(text="", row="A", metrics=["psnr"], columns=["X"], bound=1, rate=0.5)
    assert judge(claim, table, of({("A", "X", "psnr"): [True] * 9 + [False]})).status == "holds"


@pytest.mark.parametrize(("margin", "status"), [(2.0, "holds"), (0.8, "undecided"), (0.2, "does not hold")])
def test_rows_are_equal_within_a_margin(table: Table, of: Of, margin: float, status: str) -> None:
    other = [value + step for value, step in zip(PSNR, (0.9, 0.5, 0.7, 0.8, 0.4, 0.6), strict=True)]
    claim = Equal(text="", row="A", over=["B"], metrics=["psnr"], columns=["X"], margin=margin)
    verdict = judge(claim, table, of({("A", "X", "psnr"): PSNR, ("B", "X", "psnr"): other}))
    assert verdict.status == status
    assert f"within {margin:g} in" in verdict.figures[0]


def trend(**changes: Any) -> Trend:
    given = {"text": "", "along": "rows", "levels": ["A", "B", "C"], "metrics": ["psnr"], "within": ["X"]}
    return Trend(**given | changes)


FALLING = {
    ("A", "X", "psnr"): PSNR,
    ("B", "X", "psnr"): [value - 4 for value in PSNR],
    ("C", "X", "psnr"): [value - step for value, step in zip(PSNR, (7, 8, 9, 9, 8, 7), strict=True)],
}


@pytest.mark.parametrize(
    ("metric", "less", "status"),
    [
        ("psnr", 2.0, "holds"),
        ("psnr", -2.0, "does not hold"),
        ("mse", -2.0, "holds"),
        ("psnr", 0.0, "undecided"),
    ],
)
def test_a_column_is_the_worst_of_a_rows(table: Table, of: Of, metric: str, less: float, status: str) -> None:
    wave = (0.3, -0.2, 0.1, -0.3, 0.2, -0.1)
    lower = [value - less + move for value, move in zip(PSNR, wave, strict=True)]
    claim = Lowest(text="", column="Y", within=["A"], metrics=[metric])
    verdict = judge(claim, table, of({("A", "X", metric): PSNR, ("A", "Y", metric): lower}))
    assert verdict.status == status
    assert len(verdict.figures) == 1
    assert "Y 1" in verdict.figures[0] or "Y 2" in verdict.figures[0]


def test_what_was_not_measured_is_not_the_worst(table: Table, of: Of) -> None:
    claim = Lowest(text="", column="Y", metrics=["psnr"])
    verdict = judge(claim, table, of({("A", "X", "psnr"): PSNR}))
    assert verdict.status == "not measured"
    assert [name for _, name, _ in claim.names(["A"], ["X", "Y"])] == ["Y"]


def test_a_trend_is_pages_over_the_same_images(table: Table, of: Of) -> None:
    found = of(FALLING)
    verdict = judge(trend(), table, found)
    assert verdict.status == "holds"
    assert verdict.figures[0].startswith("PSNR, X: 20.8 → 16.8 → 12.8, last less first -8.0 (")
    assert "down in 6 of 6, Page's test" in verdict.figures[0]
    assert judge(trend(better=True), table, found).status == "does not hold"
    assert judge(trend(levels=["C", "B", "A"]), table, found).status == "does not hold"
    few = of({key: values[:4] for key, values in FALLING.items()})
    assert judge(trend(), table, few).status == "undecided"


def test_a_trend_over_different_images_is_jonckheeres(table: Table, of: Of) -> None:
    found = {
        key: replace(measured, units={image: (key, image) for image in measured.values})
        for key, measured in of(FALLING).items()
    }
    verdict = judge(trend(), table, found)
    assert verdict.status == "holds"
    assert "6, 6, 6 different images, Jonckheere's test" in verdict.figures[0]


def test_a_trend_may_run_along_columns(node: dict[str, Any], of: Of) -> None:
    node["columns"]["Z"] = ["defense=z"]
    node["claims"] = [
        {"_target_": "harness.tables.claims.trend.Trend", "text": "", "along": "columns", "levels": ["X", "Y", "Z"],
         "metrics": ["psnr"], "within": ["A"]}
    ]  # fmt: skip
    table = parse(node)
    rows = of(FALLING)
    found = {
        ("A", column, "psnr"): rows[row, "X", "psnr"] for row, column in (("A", "X"), ("B", "Y"), ("C", "Z"))
    }
    (claim,) = table.claims
    assert claim.rows(table) == ["A"]
    assert judge(claim, table, found).status == "holds"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levels": ["A", "B", "D"]}, "claimed row 'D' is none of A, B, C"),
        ({"within": ["Q"]}, "claimed column 'Q' is none of X, Y"),
        ({"levels": ["A", "B"]}, "levels"),
    ],
)
def test_a_mistake_in_a_trend_is_one_line(
    node: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    given = {"text": "", "along": "rows", "levels": ["A", "B", "C"], "metrics": ["psnr"]}
    node["claims"] = [{"_target_": "harness.tables.claims.trend.Trend", **given, **changes}]
    with pytest.raises(UserError, match=message) as caught:
        parse(node)
    assert "\n" not in str(caught.value)
