"""How often a verdict is wrong where nothing differs, and right where something does."""

from collections import Counter
from collections.abc import Iterator

import numpy
import pytest

from harness.tables.claims.better import Better
from harness.tables.claims.verdict import decide
from harness.tables.measurement import Measurement, Measurements
from harness.tables.spec import Table, parse

IMAGES = 16
tables = pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.slow)])
"""So many tables: few for every day, and as many as fix a rate of 5 % to half a per cent."""


def most(count: int) -> float:
    """Five per cent and three standard errors of so many tables: 6.5 % of 2,000."""
    return 0.05 + 3 * (0.05 * 0.95 / count) ** 0.5


def simulated(
    count: int, rivals: int, shift: float, rate: bool = False, images: int = IMAGES
) -> Iterator[tuple[Table, Measurements]]:
    """Tables of a row A and its rivals on common images, from which it differs by `shift` sd of the differences."""
    rng = numpy.random.default_rng(rivals)
    names = ["A", *(f"R{place}" for place in range(rivals))]
    node = {
        "name": "toy", "title": "", "source": "", "rows": {name: [] for name in names}, "columns": {"X": []},
        "metrics": {"psnr": {"title": "PSNR", "higher_is_better": True}},
    }  # fmt: skip
    table = parse(node)
    hard = rng.normal(0, 3, (count, images, 1))
    drawn = 20 + hard + rng.normal(0, 0.5**0.5, (count, images, rivals + 1))
    drawn[..., 0] += shift
    for values in drawn:
        found = {}
        for name, own in zip(names, (values > 20).T if rate else values.T, strict=True):
            scored = {(0, place, 0): value for place, value in enumerate(own.tolist())}
            found[name, "X", "psnr"] = Measurement(scored, None, None, ())
        yield table, found


def verdicts(
    count: int, rivals: int, shift: float, rate: bool = False, images: int = IMAGES
) -> dict[str, float]:
    """How often each verdict came out."""
    claim = Better(text="", row="A", metrics=["psnr"])
    found = Counter(decide(claim.compare(*given)) for given in simulated(count, rivals, shift, rate, images))
    return {status: found[status] / count for status in ("holds", "does not hold", "undecided")}


@tables
@pytest.mark.parametrize("rate", [False, True])
def test_where_nothing_differs_hardly_any_claim_is_decided(count: int, rate: bool) -> None:
    found = verdicts(count, 1, 0.0, rate)
    assert found["holds"] <= most(count)
    assert found["does not hold"] <= most(count)


@tables
def test_many_comparisons_do_not_refute_a_claim_by_their_number(count: int) -> None:
    found = verdicts(count, 6, 0.0)
    assert found["holds"] <= most(count)
    assert found["does not hold"] <= most(count)


@tables
def test_a_difference_of_one_standard_deviation_is_found_in_sixteen_images(count: int) -> None:
    found = verdicts(count, 1, 1.0)
    assert found["holds"] >= 0.8
    assert found["does not hold"] == 0


@tables
def test_six_comparisons_have_less_power(count: int) -> None:
    one, six, few = (verdicts(count, *given)["holds"] for given in ((1, 1.0), (6, 1.0), (6, 1.0, False, 8)))
    print(f"power at one sd of the differences: {one:.1%}; of six comparisons {six:.1%}, at n = 8 {few:.1%}")
    assert few < six <= one
