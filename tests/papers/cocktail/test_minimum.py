"""The loss of CPA at the truth: what makes the client's images, what is told of it, and of whom."""

from pathlib import Path

import pytest
import torch

from harness.attacks.cpa import CPA, decorrelation
from harness.attacks.matching import total_variation
from harness.attacks.solvers.adam import Adam
from harness.base.rows import read_csv
from harness.papers.cocktail.minimum import losses
from tests.attacks.test_cpa import observed, shapes
from tests.command import Main
from tests.command import main as main

PLAIN = CPA(optimizer=Adam(), negentropy=0.0, decorrelation=1.5, sharpness=4.0, total_variation=2.0, steps=5)


def test_the_loss_at_the_truth_is_that_of_the_directions_that_make_it() -> None:
    truth = shapes(4)
    seen = observed(truth)
    found = losses(PLAIN, seen, truth)
    assert found.residual < 1e-5
    known = PLAIN.prepare(seen)
    rows = torch.linalg.pinv(known["white"].double() @ seen.update["network.1.weight"].double())
    directions = torch.nn.functional.normalize((2 * truth.flatten(1) - 1).double() @ rows, dim=1)
    sources = directions @ known["white"].double() @ seen.update["network.1.weight"].double()
    apart = 1.5 * decorrelation(directions, known["there"].double(), 4.0)
    smooth = 2.0 * total_variation(sources.view(4, 1, 12, 12))
    assert found.truth == pytest.approx(float(apart + smooth), rel=1e-3)


def test_the_start_is_where_the_search_begins() -> None:
    truth = shapes(4)
    seen = observed(truth)
    begun = PLAIN.reconstruct(seen, torch.Generator()).trace[0]["loss"]
    assert losses(PLAIN, seen, truth).start == pytest.approx(begun)


def test_images_that_the_client_does_not_have_leave_a_residual() -> None:
    assert losses(PLAIN, observed(shapes(4)), shapes(6)[2:]).residual > 0.1


def test_the_table_tells_of_every_client(main: Main, tmp_path: Path) -> None:
    rows = "rows=[Published weights,Weaker decorrelation]"
    assert main("table=cpa", "scale=smoke", "logger=none", rows, "columns=[Images]") == 0
    folder = tmp_path / "results" / "cpa" / "digits32-smoke"
    lines = read_csv(folder / "minimum.csv")
    assert [line["row"] for line in lines] == ["Published weights", "Weaker decorrelation"]
    assert all(float(line["found"]) <= float(line["start"]) for line in lines)
    assert "| Published weights | Images |" in (folder / "minimum.md").read_text()
