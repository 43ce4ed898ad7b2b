"""The rule behind success, partial and fail, and the report that sets the published words beside ours."""

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from harness.base.schema import EXPERIMENTS
from harness.config.composition import compose
from harness.core import UserError
from harness.papers.outcomes.report import (
    OutcomeReport,
    evenly,
    outcomes_csv,
    overview,
    strip,
    verdict_beside,
)
from harness.papers.outcomes.rule import LABELS, decide, read
from harness.plots import pictures
from harness.store.records import Store, summarise
from harness.tables.layout import Cell
from harness.tables.measurement import Outcome

REFERENCE = "reference/noteasy_outcomes.csv"
Scores = Sequence[tuple[float | None, float | None]]


def rows(scores: Scores) -> list[dict[str, Any]]:
    """Rows of (PSNR, SSIM)."""
    return [{"psnr_unit": psnr, "ssim": ssim} for psnr, ssim in scores]


@pytest.mark.parametrize(
    ("scores", "label"),
    [
        ([(20.0, 0.1)], "success"),  # by the mean PSNR
        ([(25.0, 0.0), (15.0, 0.0)], "success"),
        ([(10.0, 0.5), (10.0, 0.0)], "success"),  # by half of the images
        ([(10.0, 0.5), (10.0, 0.0), (10.0, 0.0)], "partial"),
        ([(19.9, 0.29)] * 10, "fail"),
        ([(10.0, 0.3)] + [(10.0, 0.0)] * 9, "partial"),  # a tenth of them
        ([(10.0, 0.3)] + [(10.0, 0.0)] * 10, "fail"),
        ([(None, None)], "fail"),  # the attack failed: nothing was scored
        ([(90.0, 0.9), (None, None)], "success"),  # half of the images, though there is no mean
    ],
)
def test_the_rule(scores: Scores, label: str) -> None:
    assert decide(rows(scores)).label == label


SCORE = st.tuples(st.floats(0, 60), st.floats(-1, 1))


@given(st.lists(SCORE, min_size=1, max_size=12), st.integers(0, 11), st.floats(0, 30), st.floats(0, 1))
def test_a_better_image_never_makes_the_outcome_worse(
    scores: list[tuple[float, float]], place: int, psnr: float, ssim: float
) -> None:
    place %= len(scores)
    better = list(scores)
    better[place] = (scores[place][0] + psnr, scores[place][1] + ssim)
    before, after = decide(rows(scores)).label, decide(rows(better)).label
    assert LABELS.index(after) <= LABELS.index(before)


def test_the_published_outcomes_are_all_read() -> None:
    found = read(EXPERIMENTS / REFERENCE)
    assert len(found) == 38
    assert found["Fig. 5 DLG"].label == "success"
    assert found["Fig. 31 GGL"].outcome == "success(prior-driven)"
    assert found["Fig. 29 DLF"].described == "FL: 20 clients, batch 10, 1 epoch, CNN"
    assert found["Fig. 7 IG"].described == "batch gradient of 10, CNN"


def test_a_file_with_another_word_is_refused(tmp_path: Path) -> None:
    text = (EXPERIMENTS / REFERENCE).read_text().replace("fail,", "so-so,", 1)
    (tmp_path / "other.csv").write_text(text)
    with pytest.raises(UserError, match="'so-so' is none of success, partial, fail"):
        read(tmp_path / "other.csv")
    with pytest.raises(UserError, match="no published outcomes"):
        read(tmp_path / "absent.csv")


@pytest.mark.parametrize(("count", "places"), [(3, [0, 1, 2]), (4, [0, 1, 2, 3]), (10, [0, 3, 6, 9])])
def test_pictures_are_spread_from_the_best_to_the_worst(count: int, places: list[int]) -> None:
    assert evenly(count, 4) == places


def outcome(store: Store, row: str, scores: Scores, *overrides: str) -> Outcome:
    """A finished run with such scores."""
    experiment = compose("attack=rtf", "model=imprint_mlp", *overrides)
    identity = re.sub(r"\W+", "-", row)
    run = store.open(identity, experiment.config)
    truth = torch.linspace(0, 1, len(scores))[:, None, None, None].expand(-1, 1, 8, 8).contiguous()
    lines = [{**line, "target": n, "status": "budget"} for n, line in enumerate(rows(scores))]
    run.append(
        0,
        lines,
        {"truth": truth, "reconstruction": truth},
        [{"evaluation": 0, "candidates": 9, "returned": 7}],
    )
    record = run.finish(summarise(run.rows), {})
    return Outcome(Cell(row, "Measured", 0, ()), identity, experiment.config, record, None, experiment)


def test_the_report_says_what_the_records_say(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    client = ["fl=fedavg", "fl.examples_per_client=400", "fl.batch_size=10", "model.bins=100", "trials=1"]
    outcomes = [
        outcome(store, "Fig. 26 RTF", [(90.0, 0.9), (31.0, 0.6), (9.0, 0.0)], *client),
        outcome(store, "Fig. 18 DLG", [(22.0, 0.2)], *client),
        outcome(store, "RTF, one gradient", [(9.0, 0.0)], "fl=fedsgd", "fl.batch_size=64", "trials=1"),
        Outcome(Cell("Fig. 20 IG", "Measured", 0, ()), "none", {}, None, "it broke"),
    ]
    OutcomeReport(reference=REFERENCE, images=2, apart=["RTF"]).write("digits32", outcomes, store, tmp_path)
    report = (tmp_path / "report.md").read_text()
    # The third is not the paper's. We say success twice, the paper once: one of two would agree by chance.
    assert "1 of 2 outcomes agree, 1.0 would by chance: Cohen's kappa is 0.00." in report
    assert "Without RTF: 0 of 1 outcomes agree" in report
    assert "not independent" in report
    assert (
        "| Fig. 26 RTF | FL: 100 clients, batch 10, 1 epoch, Imprint+ResNet18 | success | **success** | yes | 1 | 3 |"
        in report
    )
    assert "| fail | **success** | no | 1 | 1 | 22.0 | 0% | 0% |" in report
    assert "| Fig. 20 IG | FL: 100 clients, batch 10, 1 epoch, CNN | partial | no result |" in report
    assert (
        "| Fig. 27 DMGAN | FL: 10 clients, batch 50, 2 epochs, D+1 class | success | not measured |" in report
    )
    # 400 images in 100 bins: 7.3 alone if all were in one step, 9.1 of a batch of 10; two above 30 dB.
    assert "| Fig. 26 RTF | 100 | 400 | 7.3 | 10 | 9.1 | 7.0 | 2.0 |" in report
    assert "| RTF, one gradient | 100 | 64 | 34.0 | 64 | 34.0 | 7.0 | 0.0 |" in report
    assert [path.name for path in tmp_path.glob("*.png")] == ["gallery.png"]
    assert Image.open(tmp_path / "gallery.png").width > 50
    assert "(gallery.png)" in report


def test_what_decided_stands_beside_the_pictures() -> None:
    """The same pictures with another verdict beside them are another gallery, with room for all its words."""
    strip = pictures.blank(66, 66, "#123456")
    failed, vague = decide(rows([(9.0, 0.0)] * 2)), decide(rows([(9.0, 0.4)] * 2))
    words = [verdict_beside("Fig. 5 DLG", verdict, None) for verdict in (failed, vague)]
    made = [overview([("run", each, strip)]) for each in words]
    drawn = [picture for picture, _ in made]
    for picture, said in made:
        ((runs, _, box),) = json.loads(said)
        assert (runs, picture.crop(box).tobytes()) == (["run"], strip.tobytes()), "it says where the strip is"
    assert drawn[0].tobytes() != drawn[1].tobytes()
    assert all(picture.width > each.width for picture, each in zip(drawn, words, strict=True))


def test_a_strip_is_of_the_pictures_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "runs")
    found = outcome(store, "Fig. 18 DLG", [(22.0, 0.2), (9.0, 0.0), (8.0, 0.0)], "fl=fedsgd", "trials=1")
    published = (pictures.blank(8, 8), pictures.blank(9, 9))
    truth = torch.full((3, 1, 8, 8), 0.5)

    def width(*lost: int) -> int:
        held = truth.clone()
        held[list(lost)] = torch.nan
        monkeypatch.setattr(Outcome, "images", lambda *_: {"truth": held, "reconstruction": held})
        return strip(found, store, 2, lambda _: published).width

    assert width() == width(0) > width(0, 1)
    assert width(0, 1, 2) == 9


def test_a_guarantee_is_the_mean_over_clients_of_different_sizes(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    client = ["fl=fedavg", "fl.examples_per_client=400", "fl.batch_size=10", "model.bins=100", "trials=2"]
    found = outcome(store, "Fig. 26 RTF", [(90.0, 0.9), (31.0, 0.6)], *client)
    assert found.record is not None
    for place, (line, examples) in enumerate(zip(found.record.rows, (100, 4), strict=True)):
        line.update(problem=place, examples=examples)
    OutcomeReport(reference=REFERENCE, images=2).write("digits32", [found], store, tmp_path)
    # 100 (1 - 1/100)^99 = 37.0 and 4 (1 - 1/100)^3 = 3.9 alone; of a batch of 10 it is 9.1 and 3.9.
    assert "| Fig. 26 RTF | 100 | 52 | 20.4 | 10 | 6.5 | 3.5 | 1.0 |" in (tmp_path / "report.md").read_text()


def test_the_csv_has_a_line_for_every_finished_row(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    done = {
        "Fig. 5 DLG": outcome(store, "Fig. 5 DLG", [(10.0, 0.6)]),
        "Other": outcome(store, "Other", [(9.0, 0.0)]),
    }
    one, other = csv.DictReader(io.StringIO(outcomes_csv(done, read(EXPERIMENTS / REFERENCE))))
    assert (one["published"], one["measured"], one["agrees"], one["clear"]) == (
        "success",
        "success",
        "True",
        "1.0",
    )
    assert (other["published"], other["measured"], other["agrees"]) == ("", "fail", "")
