"""Table I, on rows whose differences are known."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.base.rows import read_csv
from harness.core import Record
from harness.papers.survey.influence import Factor, InfluenceReport
from harness.store.records import Store
from harness.tables.layout import Cell
from harness.tables.measurement import Outcome

WAVE = (0.3, -0.2, 0.1, -0.3, 0.2, -0.1)


def cell(column: str, values: Sequence[float | None], size: int = 1, seed: int = 0) -> Outcome:
    """A run of IG: image k is that of client k // size."""
    rows: list[dict[str, Any]] = [
        {"problem": k // size, "image": k % size, "target": k, "psnr_unit": value}
        for k, value in enumerate(values)
    ]
    made = Record(f"{column}-{seed}", {}, rows, {}, {})
    return Outcome(Cell("IG", column, seed, ()), made.id, {}, made)


def judged(tmp_path: Path, *outcomes: Outcome, **factor: str) -> dict[str, str]:
    report = InfluenceReport(
        reference="reference/survey_table1.csv",
        factors={"Batch size": Factor(**{"without": "One", "under": "Four"} | factor)},  # type: ignore[arg-type]
    )
    report.write("digits32", outcomes, Store(tmp_path), tmp_path)
    (line,) = read_csv(tmp_path / "families.csv")
    assert line["here"] in (tmp_path / "families.md").read_text()
    return line


@pytest.mark.parametrize(("less", "here"), [(5.0, "yes"), (0.0, "no"), (-5.0, "more"), (0.3, "undecided")])
def test_a_factor_is_judged_by_the_images_that_were_attacked_both_times(
    tmp_path: Path, less: float, here: str
) -> None:
    one = cell("One", [20.0] * 8)
    four = cell("Four", [20.0 - less + (9 if here == "undecided" else 3) * wave for wave in WAVE])
    line = judged(tmp_path, one, four)
    assert (line["here"], line["units"], line["published"]) == (here, "6", "True")
    assert float(line["difference"]) == pytest.approx(-less)
    assert line["run_ids"].split() == ["One-0", "Four-0"]


def test_the_images_of_a_client_are_one_unit(tmp_path: Path) -> None:
    line = judged(tmp_path, cell("One", [20.0] * 12), cell("Four", [15.0, 14.0] * 6, size=2))
    assert line["units"] == "6"
    few = judged(tmp_path, cell("One", [20.0] * 12), cell("Four", [15.0, 14.0, 13.0] * 4, size=3))
    assert few["here"] == "too few"


def test_clients_with_other_images_are_compared_by_their_means(tmp_path: Path) -> None:
    one = cell("One", [None, 20.0] * 6, size=2)
    line = judged(tmp_path, one, cell("Four", [10.0 + wave for wave in WAVE]), by="client")
    assert (line["here"], line["units"]) == ("yes", "6")
    assert judged(tmp_path, one, cell("Four", [None] * 6), by="client")["here"] == "not measured"


def test_images_of_another_seed_are_others(tmp_path: Path) -> None:
    line = judged(tmp_path, cell("One", [20.0] * 6), cell("Four", [10.0] * 6, seed=1))
    assert line["here"] == "not measured"


def test_beyond_the_ceiling_all_is_alike(tmp_path: Path) -> None:
    line = judged(tmp_path, cell("One", [100.0] * 6), cell("Four", [60.0] * 6))
    assert (line["here"], float(line["difference"])) == ("no", 0.0)
