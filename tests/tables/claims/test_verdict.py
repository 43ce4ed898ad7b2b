"""Verdicts: what holds, what does not, what nobody can say yet, and how many images would decide it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from harness.base.schema import EXPERIMENTS
from harness.base.statistics import statistic
from harness.core import component
from harness.tables.claims.better import Better
from harness.tables.claims.bound import Bound
from harness.tables.claims.claim import Comparison
from harness.tables.claims.verdict import decide, judge, judge_all
from harness.tables.measurement import Measurement, Measurements, Outcome, measure
from harness.tables.reference import read
from harness.tables.spec import Table, parse

Of = Callable[[Mapping[tuple[str, str, str], Sequence[Any]]], Measurements]
BASE = [0.10, 0.12, 0.09, 0.15, 0.11, 0.13]
"""MSE of six images."""


def worse(by: float) -> list[float]:
    """The same images with so much more, one of them with a little less than that."""
    return [value + by * factor for value, factor in zip(BASE, (1, 1.2, 0.8, 1.1, 0.9, 0.5), strict=True)]


NOISY = [value + step for value, step in zip(BASE, (0.1, -0.1, 0.1, -0.09, 0.1, -0.08), strict=True)]
A_BEATS_B = Better(text="A beats B", row="A", over=["B"], metrics=["mse"], columns=["X"])


@pytest.mark.parametrize(
    ("other", "status"),
    [
        (worse(0.1), "holds"),
        (worse(-0.05), "does not hold"),
        (NOISY, "undecided"),
        (BASE, "undecided"),
        (worse(0.1)[:4], "undecided"),  # four images decide nothing
        (worse(-0.05)[:4], "undecided"),
        ([None] * 6, "not measured"),
        ([], "not measured"),
    ],
)
def test_the_images_decide(table: Table, of: Of, other: list[float], status: str) -> None:
    found = of({("A", "X", "mse"): BASE, ("B", "X", "mse"): other})
    assert judge(A_BEATS_B, table, found).status == status


def test_a_difference_of_means_in_one_of_two_images_decides_nothing(table: Table, of: Of) -> None:
    found = of({("A", "X", "mse"): [0.0511, 0.0949], ("B", "X", "mse"): [0.0678, 0.0790]})
    verdict = judge(A_BEATS_B, table, found)
    assert verdict.status == "undecided"
    assert verdict.figures == (
        "MSE, X: A 0.073 v B 0.073, difference -4.0e-04 (-0.017, 0.016), better in 1 of 2, too few for a test",
    )


def test_figures_have_the_difference_its_interval_and_in_how_many_images(table: Table, of: Of) -> None:
    found = of({("A", "X", "mse"): BASE, ("B", "X", "mse"): worse(0.1)})
    (figure,) = judge(A_BEATS_B, table, found).figures
    assert re.fullmatch(
        r"MSE, X: A 0\.117 v B 0\.208, difference -0\.092 \(-0\.118 to -0\.066\), better in 6 of 6, p < 0\.001",
        figure,
    )


def test_the_best_row_must_beat_every_other_and_the_least_sure_is_shown(table: Table, of: Of) -> None:
    claim = Better(text="A is best", row="A", metrics=["mse"], columns=["X"])
    rows = {("A", "X", "mse"): BASE, ("B", "X", "mse"): worse(0.1), ("C", "X", "mse"): worse(0.2)}
    assert judge(claim, table, of(rows)).status == "holds"
    verdict = judge(claim, table, of(rows | {("C", "X", "mse"): NOISY}))
    assert verdict.status == "undecided"
    (figure,) = verdict.figures
    assert "v C" in figure
    assert figure.endswith("the least of 2")


def test_what_refutes_outweighs_what_is_missing(table: Table, of: Of) -> None:
    claim = Better(text="", row="A", metrics=["mse"])
    rows = {("A", "X", "mse"): BASE, ("B", "X", "mse"): worse(-0.05), ("C", "X", "mse"): worse(0.1)}
    verdict = judge(claim, table, of(rows))
    assert verdict.status == "does not hold"
    assert "A 0.117 v B 0.071" in verdict.figures[0]
    assert "the opposite has p" in verdict.figures[0]
    assert verdict.figures[1] == "MSE, Y: no value for A, B, C"


def test_to_refute_one_of_many_takes_more(table: Table) -> None:
    """Of six comparisons the opposite of one is expected to have p < .05 once in four tables without a difference."""
    one = Comparison("X", "", 10, supports=0.97, contradicts=0.03)
    rest = [Comparison("X", "", 10, supports=0.4, contradicts=0.6)] * 5
    assert decide([one]) == "does not hold"
    assert decide([one, *rest]) == "undecided"
    assert decide([replace(one, contradicts=0.008), *rest]) == "does not hold"


def test_an_undecided_claim_says_how_many_images_would_decide_it(table: Table, of: Of) -> None:
    found = of({("A", "X", "mse"): BASE, ("B", "X", "mse"): NOISY})
    note = judge(A_BEATS_B, table, found).note
    assert re.fullmatch(r"about \d[\d,]* images would decide it", note)
    same = of({("A", "X", "mse"): BASE, ("B", "X", "mse"): BASE})
    assert judge(A_BEATS_B, table, same).note == "and more than 10,000 images would not decide it"
    few = of({("A", "X", "mse"): BASE[:3], ("B", "X", "mse"): worse(0.1)[:3]})
    assert judge(A_BEATS_B, table, few).note == "about 5 images would decide it"


def test_nothing_is_judged_at_scale_smoke(table: Table, of: Of) -> None:
    found = of({("A", "X", "mse"): BASE, ("B", "X", "mse"): worse(0.1)})
    verdict = judge(A_BEATS_B, table, found, scale="smoke")
    assert (verdict.status, verdict.figures) == ("not judged", ())


def test_a_verdict_that_hangs_on_a_poor_row_says_so(table: Table, of: Of) -> None:
    found = of({("A", "X", "mse"): BASE, ("B", "X", "mse"): worse(0.1)})
    assert judge(A_BEATS_B, table, found, poor=["B"]).said == "holds, at this budget"
    assert judge(A_BEATS_B, table, found, poor=["C"]).said == "holds"


def test_seeds_of_the_same_images_are_no_more_images(
    table: Table, measured: Callable[..., list[Outcome]]
) -> None:
    rows = {("A", "X"): BASE[:4], ("B", "X"): worse(0.1)[:4]}
    outcomes = [*measured(rows), *measured(rows, seed=1)]
    assert judge(A_BEATS_B, table, measure(table, outcomes, {})).status == "undecided"


def test_blocks_of_successive_images_are_units(table: Table, measured: Callable[..., list[Outcome]]) -> None:
    outcomes = measured({("A", "X"): BASE, ("B", "X"): worse(0.1)})
    blocks = replace(table, independent="block", block=2)
    verdict = judge(A_BEATS_B, blocks, measure(blocks, outcomes, {}))
    assert verdict.status == "undecided"
    assert "better in 6 of 6 (3 blocks)" in verdict.figures[0]
    assert verdict.note == "about 5 blocks would decide it"


@component
class Never(Bound):
    """A kind of claim from elsewhere."""

    def against(self, *given: object) -> Comparison:
        return Comparison("MSE, X", "never", 9, supports=1.0, contradicts=0.001)


def test_a_kind_of_claim_needs_no_registry(
    node: dict[str, Any], of: Of, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_PLUGINS", __name__.partition(".")[0])
    node["claims"] = [
        {
            "_target_": f"{__name__}.Never",
            "text": "never",
            "row": "A",
            "bound": 1,
            "metrics": ["mse"],
            "columns": ["X"],
        }
    ]
    (verdict,) = judge_all(parse(node), "faces", "small", of({("A", "X", "mse"): BASE}))
    assert (verdict.text, verdict.status) == ("never", "does not hold")


PUBLISHED = read(EXPERIMENTS / "reference" / "ggl_table3.csv")


@pytest.mark.parametrize(("ours", "theirs"), [("celeba32", "CelebA"), ("imagenet", "ImageNet")])
def test_the_papers_own_numbers_are_on_the_side_of_its_claims(table3: Table, ours: str, theirs: str) -> None:
    as_measured: dict[tuple[str, str, str], Measurement] = {}
    for row in table3.rows:
        for column in table3.columns:
            for metric in table3.metrics:
                value = PUBLISHED[theirs].get((row, column, metric))
                as_measured[row, column, metric] = Measurement(
                    {(0, 0, 0): value}, statistic([value]), None, ()
                )
    verdicts = judge_all(table3, ours, "paper", as_measured)
    assert len(verdicts) >= 4
    claims = [claim for claim in table3.claims if claim.published in (None, theirs)]
    comparisons = [each for claim in claims for each in claim.compare(table3, as_measured)]
    assert [each.figure for each in comparisons if each.effect <= 0] == []
