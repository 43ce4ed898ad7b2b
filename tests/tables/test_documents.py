"""The written forms of a table: what stands in them, and that names can't break them."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from harness.base.schema import EXPERIMENTS
from harness.base.statistics import statistic
from harness.store.records import Store
from harness.tables import terminal
from harness.tables.claims.better import Better
from harness.tables.document import Document, compose, dump, load
from harness.tables.html import html
from harness.tables.latex import escape, latex
from harness.tables.markdown import markdown
from harness.tables.measurement import Measurement, Outcome, measure
from harness.tables.render import render
from harness.tables.spec import Table, parse
from harness.tables.view import number

Measured = Callable[..., list[Outcome]]
FULL = {(row, column): [0.1 * k, 0.2 * k] for k, row in enumerate("ABC", 1) for column in "XY"}


def document(table: Table, outcomes: list[Outcome], **published: float) -> Document:
    numbers = {tuple(key.split("_")): value for key, value in published.items()}
    return compose(table, "faces", "small", outcomes, measure(table, outcomes, numbers))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.0412, 4, "0.0412"), (13.951, 2, "13.95"), (2.4e-5, 4, "2.4e-05"), (0.0, 4, "0.0000"), (0.0001, 4, "0.0001"),
        (-0.001, 2, "-1.0e-03"), (0.007, 2, "0.01"), (0.7, 1, "0.7"), (3080.0, 1, "3080.0"),
    ],
)  # fmt: skip
def test_a_number_never_loses_its_meaning_to_rounding(value: float, digits: int, text: str) -> None:
    assert number(value, digits) == text


def test_markdown_shows_mean_spread_published_and_the_best_in_bold(table: Table, measured: Measured) -> None:
    text = markdown(document(table, measured(FULL), A_X_mse=0.123, B_X_mse=0.5))
    rows = [line for line in text.splitlines() if line.startswith("| A ")]
    assert rows == [
        "| A | **0.150** ± 0.071 (0.123 1.2x) | **0.150** ± 0.071 |",
        "| A | **-1.5** ± 0.7 | **-1.5** ± 0.7 |",
    ]
    assert "| B | 0.300 ± 0.141 (0.500 0.6x) | 0.300 ± 0.141 |" in text
    assert text.count("**") == 2 * 4, "one best cell for each metric and column"
    assert "### MSE ↓" in text
    assert "### PSNR ↑" in text


def test_the_caption_says_what_was_run_and_what_attackers_know(table: Table, measured: Measured) -> None:
    lines = document(table, measured(FULL)).caption
    assert lines[0] == "Data set faces, scale small, 2 images a cell, seed 0."
    assert lines[2] == "Victim: lenet (width 4), fl."
    assert lines[3] == "Columns: X: defense; Y: defense."
    assert lines[4] == (
        "Threat model (letters of Carletti et al., USENIX Security 2025) and what the attacker has: "
        "A: D (the model, the update, the kind of the defence, a generator (wgan, 20 steps)); "
        "B, C: A (the model, the update)."
    )
    assert lines[5] == "Attacks: A: a; B: b; C: c."
    assert lines[6] == "Mean effort for an image: A, B, C: 7 evaluations, 0.5 s from start to end."


def test_the_caption_says_how_clients_normalise_and_what_they_hold(table: Table, measured: Measured) -> None:
    dealt = {"_target_": "harness.federated.partitions.dirichlet.Dirichlet", "beta": 0.5, "draws": 9}
    protocols: dict[str, dict[str, Any]] = {
        "A": {"normalization": "train", "clients": 100, "partition": dealt},
        "B": {"normalization": "train", "clients": 100, "partition": dealt},
        "C": {"normalization": "eval", "clients": None, "partition": dealt},
    }
    federated = measured({("A", "X"): [0.1], ("B", "X"): [0.1]}, round=1, examples=12)
    federated += measured({("A", "Y"): [0.1]}, round=1, examples=30) + measured({("C", "X"): [0.1]})
    lines = document(
        table, [replace(o, config={**o.config, "fl": protocols[o.cell.row]}) for o in federated]
    ).caption
    assert (
        "Batch normalisation: A, B: by the batch's own statistics (train mode); "
        "C: by the running statistics (eval mode)." in lines
    )
    assert "Federations: A, B: 100 clients, Dirichlet (beta 0.5)." in lines
    assert "Images that an attacked client trains on: A: 12 to 30; B: 12." in lines


def test_a_partial_table_renders_and_says_what_is_missing(
    table: Table, measured: Measured, store: Store, tmp_path: Path
) -> None:
    outcomes = measured({("A", "X"): [0.1, 0.2], ("A", "Y"): [None, None], ("B", "X"): [], ("B", "Y"): [0.3]})
    outcomes += measured({("C", "X"): [0.4]})
    found = render(table, "faces", "small", outcomes, store, tmp_path / "results")
    assert "B x X, seed 0: no result (ValueError: it broke)." in found.notes
    assert "MSE: no value for 2 of 6 images (no reason)." in found.notes
    assert "1 to 2 images a cell" in found.caption[0]
    text = (tmp_path / "results" / "table.md").read_text()
    assert "| A | 0.150 ± 0.071 | - |" in text
    assert "| B | - | 0.300 |" in text
    assert "| C | 0.400 | - |" in text
    assert "**" not in text, "a row that is missing might be the best"


def test_a_table_without_any_result_renders(
    table: Table, measured: Measured, store: Store, tmp_path: Path
) -> None:
    render(table, "faces", "small", measured({("A", "X"): []}), store, tmp_path / "results")
    assert not (tmp_path / "results" / "gallery.png").exists()
    text = (tmp_path / "results" / "table.md").read_text()
    assert "no finished image a cell" in text
    assert "gallery.png" not in text


def test_failed_attacks_are_counted_and_named(table: Table, measured: Measured) -> None:
    found = document(table, measured({("A", "X"): [0.1, 0.2]}, status="diverged"))
    assert "A x X: 2 of 2 images diverged, counted as they are." in found.notes


def test_everything_is_written(table: Table, measured: Measured, store: Store, tmp_path: Path) -> None:
    render(table, "faces", "small", measured(FULL), store, tmp_path / "deep" / "results")
    names = {path.name for path in (tmp_path / "deep" / "results").iterdir()}
    assert "](gallery.png)" in (tmp_path / "deep" / "results" / "table.md").read_text()
    assert names == {
        "cells.csv",
        "document.json",
        "table.md",
        "table.tex",
        "table.html",
        "gallery.png",
        "provenance.json",
    }
    origin = json.loads((tmp_path / "deep" / "results" / "provenance.json").read_text())
    assert origin["git"] == "0123"
    assert origin["seconds"] == 6 * 1.5
    assert origin["versions"] == {"torch": "2"}
    assert (origin["dataset"], origin["scale"], origin["table"]) == ("faces", "small", "toy")
    assert [cell["run"] for cell in origin["cells"]] == ["AX0", "AY0", "BX0", "BY0", "CX0", "CY0"]
    assert origin["cells"][0]["overrides"][0] == "attack=A"


EVIL = "<b>&\"%_$#{}~^\\|*`'[x](y)"


@pytest.fixture
def evil(node: dict[str, Any]) -> Table:
    node["rows"] = {EVIL: ["attack=a"], "B": ["attack=b"]}
    node["columns"] = {f"{EVIL}X": ["defense=x"], "Y": ["defense=y"]}
    node["title"] = node["source"] = EVIL
    node["metrics"]["mse"]["title"] = EVIL
    node["scales"] = {}
    node["claims"] = [
        {"_target_": "harness.tables.claims.better.Better", "text": EVIL, "row": EVIL, "metrics": ["mse"]}
    ]
    return parse(node)


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_names_are_text_in_html(evil: Table, measured: Measured) -> None:
    outcomes = measured({(EVIL, "Y"): [0.1], ("B", "Y"): [0.2]})
    text = html(document(evil, outcomes), b"png")
    reader = Reader()
    reader.feed(text)
    assert reader.tags.count("b") == 2, "only the best cells are bold"
    assert reader.text.count(EVIL) == 6, (
        "title twice, source, metric, row twice (two metrics), claim: as they are"
    )
    assert not re.search(r'(src|href)="(?!data:)', text), "nothing is loaded from elsewhere"


def test_names_are_text_in_latex(evil: Table, measured: Measured) -> None:
    text = latex(document(evil, measured({(EVIL, "Y"): [0.1], ("B", "Y"): [0.2]})))
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    bare = re.sub(r"\\[&%$#_{}\\]", "", body)
    assert not re.search(
        r"[%_~^]|#", bare.replace("\\textasciitilde{}", "").replace("\\textasciicircum{}", "")
    )
    assert bare.count("{") == bare.count("}")
    rows = [line for line in body.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert [len(re.findall(r"(?<!\\)&", row)) for row in rows] == [2] * 5
    assert r"\textbf{0.100}" in text
    assert "\\toprule" in text
    assert "\\bottomrule" in text


def test_latex_escapes_each_sign_once() -> None:
    assert escape("a_b & 90 % {x} ± \\") == r"a\_b \& 90 \% \{x\} $\pm$ \textbackslash{}"


def test_names_are_text_in_markdown(evil: Table, measured: Measured) -> None:
    text = markdown(document(evil, measured({(EVIL, "Y"): [0.1], ("B", "Y"): [0.2]})))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}
    assert "<b>" not in text


def test_the_terminal_shows_the_same(
    table: Table, measured: Measured, capsys: pytest.CaptureFixture[str]
) -> None:
    claim = Better(text="A is best [really]", row="A", metrics=["mse"])
    terminal.show(document(replace(table, claims=[claim]), measured(FULL), A_X_mse=0.123))
    out, err = capsys.readouterr()
    assert "0.150* ± 0.071" in out
    assert re.search(r"^ +paper +0\.123 1\.2x *$", out, re.MULTILINE)
    assert "undecided, about 5 images would decide it: A is best [really]" in out
    assert "MSE, X: A 0.150 v B 0.300, difference -0.150 (-0.100, -0.200), better in 2 of 2" in out
    assert "Threat model" in out
    assert "\x1b" not in out, "no colours in a file"
    assert err == ""


def test_a_wide_table_leaves_deviations_to_its_file_rather_than_break_numbers(
    table: Table, measured: Measured, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = document(table, measured(FULL), A_X_mse=0.123)
    (section,) = [each for each in shown.sections if each.name == "mse"]
    rows = tuple((name, cells * 5) for name, cells in section.rows)
    wide = replace(shown, columns=shown.columns * 5, sections=(replace(section, rows=rows),))
    terminal.show(wide)
    out = capsys.readouterr().out
    assert (
        "Too wide here for standard deviations and what else stands by a number: table.md has all of it."
        in out
    )
    assert "±" not in out.split("Too wide")[0]
    (paper,) = re.findall(r"^ +paper(.*)$", out, re.MULTILINE)
    assert paper.split() == ["0.123"] * 5
    assert "Too wide" not in show(shown, capsys)


def show(shown: Document, capsys: pytest.CaptureFixture[str]) -> str:
    terminal.show(shown)
    return capsys.readouterr().out


def test_table_3_fits_into_a_hundred_columns_of_a_terminal(
    table3: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    def cell(published: float) -> Measurement:
        values = {(0, place, 0): value for place, value in enumerate([0.26227, 0.8, 0.5, 0.4, 0.3])}
        return Measurement(values, statistic(list(values.values())), published, ())

    keys = [
        (row, column, metric) for row in table3.rows for column in table3.columns for metric in table3.metrics
    ]
    shown = compose(
        replace(table3, claims=[], notes={}), "faces", "small", [], {key: cell(0.0326) for key in keys}
    )
    terminal.show(replace(shown, caption=(), notes=()))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert sum(line.count("± 0.21518") == len(table3.columns) for line in lines) == len(table3.rows), (
        "nothing is cut off"
    )


def test_the_published_number_has_a_sign_and_a_ratio(table: Table, measured: Measured) -> None:
    outcomes = measured({("A", "X"): [0.1, 0.3, 0.2, 0.25, 0.15]})
    shown = document(table, outcomes, A_X_mse=0.5, A_X_psnr=-2.0)
    assert "(0.500 ∉ 0.4x)" in markdown(shown)
    assert "(-2.0 ∈)" in markdown(shown)
    assert r"(0.500 $\notin$ 0.4x)" in latex(shown)


def test_a_verdict_stands_in_every_form(
    table: Table, measured: Measured, capsys: pytest.CaptureFixture[str]
) -> None:
    values = [0.10, 0.12, 0.09, 0.15, 0.11]
    rows = {("A", "X"): values, ("B", "X"): [value + 0.2 + value / 9 for value in values]}
    claim = Better(text="A beats B", row="A", over=["B"], metrics=["mse"], columns=["X"])
    outcomes = measured(rows)
    claimed = replace(table, claims=[claim])
    shown = compose(
        claimed, "faces", "small", outcomes, measure(claimed, outcomes, {}), {"B": 0.01, "A": 0.7}
    )
    terminal.show(shown)
    assert "holds, at this budget: A beats B" in capsys.readouterr().out
    assert "| A beats B | *holds*, at this budget |" in markdown(shown)
    assert '<td class="holds">holds, at this budget</td>' in html(shown, None)
    assert "% holds, at this budget: A beats B" in latex(shown)
    assert load(dump(shown)).verdicts[0].said == "holds, at this budget"
    assert (
        shown.caption[-1]
        == "Less than half of the paper's budget (steps x attempts for an image): B 1% of it."
    )


def test_the_gallery_has_the_originals_on_top_and_grey_for_what_is_missing(
    table: Table, measured: Measured, store: Store, tmp_path: Path
) -> None:
    outcomes = measured({("A", "X"): [1.0, 0.0], ("A", "Y"): [1.0, 1.0], ("B", "X"): [0.0, 1.0]})
    render(table, "faces", "small", outcomes, store, tmp_path)
    picture = Image.open(tmp_path / "gallery.png").convert("L")
    black = [
        (x, y) for y in range(picture.height) for x in range(picture.width) if picture.getpixel((x, y)) == 0
    ]
    left, top = min(x for x, _ in black), min(y for _, y in black)
    tiles = [picture.getpixel((left + 32 + 66 * k, top + 32)) for k in (0, 1)]
    assert tiles == [0, 0], "both originals are black"
    below = [picture.getpixel((left + 32 + 66 * k, top + 65 + 10 + 32)) for k in (0, 1)]
    assert below == [255, 0], "A under X: the first is white, the second black"
    assert any(picture.getpixel((x, picture.height - 40)) == 0xD9 for x in range(picture.width))


def test_the_gallery_leaves_out_a_row_that_nobody_asked_for(
    table: Table, measured: Measured, store: Store, tmp_path: Path
) -> None:
    def height(outcomes: list[Outcome]) -> int:
        render(table, "faces", "small", outcomes, store, tmp_path)
        return Image.open(tmp_path / "gallery.png").height

    first, second = measured({("A", "X"): [1.0], ("B", "X"): [0.0]})
    whole = height([first, second])
    assert height([first, replace(second, record=None)]) < whole
    assert height([first, replace(second, record=None, failure="it broke")]) == whole


def test_a_document_is_read_back_as_it_was_written(table: Table, measured: Measured) -> None:
    written = document(table, measured(FULL), A_X_mse=0.123)
    assert load(dump(written)) == written


@pytest.mark.parametrize(
    "folder",
    [path.parent for path in sorted(EXPERIMENTS.glob("results/*/*/document.json"))],
    ids=lambda path: f"{path.parent.name}-{path.name}",
)
def test_a_published_document_says_what_its_markdown_says(folder: Path) -> None:
    pictured = (folder / "gallery.png").exists()
    assert (
        markdown(load((folder / "document.json").read_text()), pictured) == (folder / "table.md").read_text()
    )
