"""Tables and sweeps are read back with their numbers and runs, whichever way they name their cells."""

import json
from pathlib import Path

import pytest

from harness.base.errors import UserError
from harness.report.pages import result as page
from harness.report.results import Numbers, ReportCell, find
from harness.store.records import Store
from harness.tables.layout import Cell
from harness.tables.render import render
from tests.report.conftest import configuration, outcome, table

SWEEP = """attack,fl.batch_size,metric,runs,n,targets,mean,std,ci_low,ci_high,run_ids
ig,2,psnr_unit,2,8,4,12.5,1.0,11.0,14.0,r1 r2
ig,2,lpips_vgg,2,0,,,,,,r1 r2
ig,4,psnr_unit,1,8,4,9.0,1.0,8.0,10.0,r3
"""
RUNS = [
    {
        "values": {"attack": "ig", "fl.batch_size": 2, "seed": 0},
        "run": "r1",
        "finished": True,
        "overrides": ["a=1"],
    },
    {
        "values": {"attack": "ig", "fl.batch_size": 2, "seed": 1},
        "run": "r2",
        "finished": True,
        "overrides": [],
    },
    {"values": {"attack": "ig", "fl.batch_size": 8}, "run": "r4", "finished": False, "overrides": []},
]


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    folder = tmp_path / "epochs" / "digits32-small"
    folder.mkdir(parents=True)
    (folder / "cells.csv").write_text(SWEEP)
    (folder / "provenance.json").write_text(json.dumps({"title": "Epochs", "notes": ["So."], "cells": RUNS}))
    return tmp_path


def test_a_sweeps_points_have_their_values_numbers_and_runs(sweep: Path) -> None:
    (found,) = find(sweep, "made here")
    point = "attack ig, fl.batch_size 2"
    assert found.title == "Epochs"
    assert found.axes[point] == {"attack": "ig", "fl.batch_size": "2"}
    assert found.numbers[point, "", "psnr_unit"] == Numbers(8, 12.5, 1.0, 11.0, 14.0, (), None, ("r1", "r2"))
    assert found.numbers[point, "", "lpips_vgg"].mean is None
    assert found.cells[0] == ReportCell(point, "", "0", "r1", True, ("a=1",))
    assert [(cell.row, cell.seed) for cell in found.cells[1:]] == [
        (point, "1"),
        ("attack ig, fl.batch_size 8", ""),
    ]


def test_a_sweeps_page_has_a_line_for_each_point(sweep: Path) -> None:
    (found,) = find(sweep, "made here")
    text = page("../../../", found, {"r1"})
    assert text.count("<tr>") == 1 + 2
    for words in ("Epochs", "fl.batch_size", "12.500", "11.000 to 14.000", "So."):
        assert words in text


def test_words_beside_the_numbers_lead_to_no_runs(tmp_path: Path) -> None:
    store, results = Store(tmp_path / "runs"), tmp_path / "results"
    malicious = {"server": {"_target_": "harness.servers.imprint.ImprintServer"}}
    config = configuration("rtf", "none", 1, seed=0) | malicious
    made = outcome(store, Cell("A", "X", 0, ()), 9.0, config, "AX0")
    toy = table("toy", {"A": []}, {"X": []})
    render(toy, "digits32", "small", [made], store, results / "toy" / "digits32-small")
    (found,) = find(results, "made here")
    text = page("../../../", found, set())
    assert text.count("<td>-</td>") == text.count('href="#row=A&amp;column=X"') == len(toy.metrics)


def test_pictures_and_texts_alone_are_a_result_too(tmp_path: Path) -> None:
    (tmp_path / "plots" / "some").mkdir(parents=True)
    (tmp_path / "plots" / "empty").mkdir()
    for name in ("a.png", "a.csv", "b.md"):
        (tmp_path / "plots" / "some" / name).touch()
    (found,) = find(tmp_path, "published")
    assert (found.title, found.address) == ("plots", "published/plots/some/index.html")
    assert [path.name for path in (*found.figures, *found.tables, *found.texts)] == ["a.png", "a.csv", "b.md"]


def test_numbers_without_a_column_are_a_user_error(sweep: Path) -> None:
    (sweep / "epochs" / "digits32-small" / "cells.csv").write_text("a,metric,mean\n1,psnr,2\n")
    with pytest.raises(UserError, match="digits32-small can't be read, make its table again"):
        find(sweep, "made here")
