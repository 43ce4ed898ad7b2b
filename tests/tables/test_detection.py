"""What clients have seen of a table's servers: a column, and what is said beside it."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from harness.base.schema import EXPERIMENTS
from harness.tables import detection, terminal
from harness.tables.document import Document, compose, dump, load
from harness.tables.html import html
from harness.tables.latex import latex
from harness.tables.markdown import markdown
from harness.tables.measurement import Outcome, measure
from harness.tables.spec import Table, parse

Measured = Callable[..., list[Outcome]]
IMPRINT = {"server": {"_target_": "harness.servers.imprint.ImprintServer"}}
SEEN = {"detected": True, "detected_by": "parallel rows"}
CALM = {"detected": False, "detected_by": ""}


def planted(outcomes: list[Outcome]) -> list[Outcome]:
    """The same, of a malicious server."""
    return [replace(each, config={**each.config, **IMPRINT}) for each in outcomes]


def document(table: Table, outcomes: list[Outcome]) -> Document:
    return compose(table, "faces", "small", outcomes, measure(table, outcomes, {}))


def last_column(found: Document) -> dict[str, str]:
    assert found.columns[-1] == "detected by"
    texts = [{row: cells[-1].mean for row, cells in section.rows} for section in found.sections]
    assert all(text == texts[0] for text in texts)
    return texts[0]


@pytest.fixture
def watched(measured: Measured) -> list[Outcome]:
    """A: malicious, three clients of whom one has a sign more. B: honest, and checked. C: nobody looks."""
    outcomes = planted(measured({("A", "X"): [0.1, 0.2]}, **SEEN))
    outcomes += planted(measured({("A", "Y"): [0.1]}, detected=True, detected_by="parallel rows, <D_SNR>"))
    return outcomes + measured({("B", "X"): [0.3, 0.4]}, **CALM) + measured({("C", "X"): [0.5]})


def test_a_row_says_how_often_its_server_was_detected_and_by_which_signs(
    table: Table, watched: list[Outcome]
) -> None:
    found = document(table, watched)
    assert last_column(found) == {
        "A": "3 of 3 (parallel rows, <D_SNR> 1)",
        "B": "false alarms: 0 of 2",
        "C": "-",
    }
    assert any(line.startswith("Detected by: ") for line in found.caption)
    assert load(dump(found)) == found


def test_every_form_has_the_column(
    table: Table, watched: list[Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    found = document(table, watched)
    assert "| | X | Y | detected by |" in markdown(found)
    assert "| 3 of 3 (parallel rows, &lt;D\\_SNR&gt; 1) |" in markdown(found)
    assert "<td>3 of 3 (parallel rows, &lt;D_SNR&gt; 1)</td>" in html(found, None)
    assert r"& 3 of 3 (parallel rows, \textless{}D\_SNR\textgreater{} 1) \\" in latex(found)
    terminal.show(found)
    assert "false alarms: 0 of 2" in capsys.readouterr().out


def test_a_row_of_honest_and_malicious_servers_says_both(table: Table, measured: Measured) -> None:
    outcomes = planted(measured({("A", "X"): [0.1, 0.2]}, **SEEN))
    outcomes += measured({("A", "Y"): [0.3]}, detected=True, detected_by="loss")
    assert (
        last_column(document(table, outcomes))["A"] == "2 of 2 (parallel rows); false alarms: 1 of 1 (loss)"
    )


def test_a_client_with_several_images_counts_once(table: Table, watched: list[Outcome]) -> None:
    twice = [replace(o, record=replace(o.record, rows=o.record.rows * 2)) for o in watched if o.record]
    assert last_column(document(table, twice)) == last_column(document(table, watched))


def test_without_a_malicious_server_and_checks_there_is_no_column(table: Table, measured: Measured) -> None:
    assert document(table, measured({("A", "X"): [0.1]})).columns == ("X", "Y")
    gated = measured({("B", "X"): [0.1]}, detected=True, detected_by="gate", gate_leakage=0.9)
    assert document(table, gated).columns == ("X", "Y"), "a gate accuses no server"


def test_a_malicious_row_that_nobody_looks_at_says_so(table: Table, measured: Measured) -> None:
    outcomes = planted(measured({("A", "X"): [0.1], ("B", "X"): []}))
    assert last_column(document(table, outcomes)) == dict.fromkeys("ABC", "-")


def test_honest_rows_without_checks_point_to_the_published_false_alarms(
    table: Table, watched: list[Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detection, "PUBLISHED", tmp_path)
    plain = document(table, watched).notes
    (tmp_path / "toys-small").mkdir()
    (tmp_path / "toys-small" / "detection.csv").write_text(
        "server,models,alarms,rate,low,high,signs\nAll honest,50,1,0.02,0.003,0.1,loss 1\nImprint,9,9,1,.7,1,\n"
    )
    *before, last = document(table, watched).notes
    assert tuple(before) == plain
    assert "false alarms about 1 of 50 honest models, 2.0% (0.3% to 10.0%)" in last
    looked = [outcome for outcome in watched if outcome.cell.row != "C"]
    assert not any("honest models" in note for note in document(table, looked).notes)


ALTERED = re.compile(r"server=(?!honest)|model=imprint_|attack=rtf")


@pytest.mark.parametrize("path", sorted((EXPERIMENTS / "table").glob("*.yaml")), ids=lambda path: path.stem)
def test_clients_of_malicious_servers_look_in_every_table(path: Path) -> None:
    config: Any = OmegaConf.load(path)
    if "rows" not in config.hydra.sweeper:
        pytest.skip("its rows are another table's")
    table = parse(OmegaConf.to_container(config.hydra.sweeper))  # type: ignore[arg-type]
    cells = table.cells("digits32", "paper", seeds=[0])
    altered = [cell for cell in cells if any(map(ALTERED.match, cell.overrides))]
    assert all("checks=thresholds" in cell.overrides for cell in altered)
