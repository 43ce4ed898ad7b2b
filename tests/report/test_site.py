"""The site is whole, names in it are text, it needs nothing from elsewhere, and it replaces only itself."""

import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from harness.base.schema import EXPERIMENTS
from harness.report import pages as pages_of
from harness.report.__main__ import main
from harness.report.results import find
from harness.report.runs import Listed
from harness.store.records import Store
from tests.report.conftest import FAMILY, TAG, configuration, toy

Elements = list[tuple[str, dict[str, str | None]]]


class Page(HTMLParser):
    """The elements and the visible text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.elements: Elements = []
        self.text = ""
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def addresses(self) -> list[str]:
        """What the page loads or leads to."""
        found = [attributes.get("src") or attributes.get("href") for _, attributes in self.elements]
        return [address for address in found if address]


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[str, Page]:
    return {unquote(str(path.relative_to(site))): Page(path) for path in site.rglob("*.html")}


def test_every_result_text_and_view_has_a_page(pages: dict[str, Page]) -> None:
    assert set(pages) == {
        "index.html", "runs.html", "run.html", "compare.html",
        "here/toy/digits32-small/index.html", f"here/{FAMILY}/{FAMILY}/index.html",
        "published/toy/faces-medium/index.html", "published/toy/index.html",
    }  # fmt: skip


def test_a_tables_page_offers_its_files(pages: dict[str, Page]) -> None:
    page = pages["here/toy/digits32-small/index.html"]
    offered = [
        attributes["href"] for name, attributes in page.elements if name == "a" and "download" in attributes
    ]
    assert offered == ["cells.csv", "table.tex", "table.md", "gallery.png"]


def test_smoke_is_marked_and_nothing_else_is(pages: dict[str, Page], tmp_path: Path) -> None:
    toy(tmp_path / "results", Store(tmp_path / "runs"))
    place = tmp_path / "results" / "toy" / "digits32-small" / "provenance.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"scale": "smoke"}))
    (result,) = find(tmp_path / "results", "made here")
    assert "numbers mean nothing" in pages_of.result("", result, ())
    assert "smoke" in pages_of.overview("", [result], {}, 1)
    assert "1 result, " in pages_of.overview("", [result], {}, 1)
    assert not any("smoke" in page.text for page in pages.values())


def test_names_in_narrow_columns_break_between_their_parts_alone() -> None:
    record = Listed("run", configuration("ig", "clipping_noise", 1, 0), {}, 1)
    assert '<td class="word">clipping_<wbr>noise</td>' in pages_of.runs("", [record], {})


def test_settings_in_which_runs_differ_are_folded() -> None:
    records = [Listed(f"run{k}", configuration("ig", "none", k, 0), {}, 1) for k in (1, 2)]
    text = pages_of.runs("", records, {})
    assert "<summary>1 setting</summary>attack.steps 2</details>" in text
    assert "<details" not in pages_of.runs("", records[:1], {})


def test_every_link_leads_somewhere_on_the_disk(site: Path, pages: dict[str, Page]) -> None:
    for page in pages.values():
        for address in set(page.addresses()) - {"data:,"}:
            assert ":" not in address.split("#")[0], f"{address} of {page.path}"
            place = unquote(re.split("[#?]", address)[0])
            assert (page.path.parent / place).exists(), f"{address} of {page.path}"


def test_no_sheet_or_script_asks_for_anything_from_elsewhere(site: Path) -> None:
    own = {path for path in (site / "assets").iterdir() if path.name != "plotly.min.js"}
    assert len(own) > 8
    for path in own:
        assert not re.search(
            r"https?:|@import|fetch\(|XMLHttpRequest|innerHTML|insertAdjacentHTML|eval\(", path.read_text()
        )


def test_no_page_may_ask_for_anything_and_only_charts_write_styles(pages: dict[str, Page]) -> None:
    for page in pages.values():
        [policy] = [a["content"] for tag, a in page.elements if tag == "meta" and "http-equiv" in a]
        assert policy.startswith("default-src 'none'; script-src 'self' file:; style-src 'self' file:")
        assert ("'unsafe-inline'" in policy) == (page.path.name in ("run.html", "compare.html"))


def test_names_are_text_and_never_elements(pages: dict[str, Page]) -> None:
    for page in pages.values():
        scripts = [attributes for tag, attributes in page.elements if tag == "script"]
        assert all(
            "src" in attributes or attributes.get("type") == "application/json" for attributes in scripts
        )
        assert not any(
            "onerror" in attributes or attributes.get("src") == "x" for _, attributes in page.elements
        )
    evil = pages[f"here/{FAMILY}/{FAMILY}/index.html"]
    assert evil.text.count(TAG) > 5
    assert TAG in pages["runs.html"].text


def test_the_data_of_a_run_are_one_call(site: Path) -> None:
    text = (site / "runs" / "evil.js").read_text()
    assert "<" not in text
    data = json.loads(re.fullmatch(r'report\.receive\("evil", (.*)\);\n', text, re.DOTALL)[1])  # type: ignore[index]
    assert data["config"][TAG] == TAG
    assert data["rows"][0]["target"] == 100
    assert data["images"] == {"shown": 2, "width": 8, "height": 8}
    assert data["curves"][0]["points"][:2] == [[0, 5.0], [10, 0.5]]
    assert (data["places"][0]["row"], data["places"][0]["seed"]) == (TAG, "0")


def test_measured_published_claims_and_provenance_stand_on_the_page(
    site: Path, pages: dict[str, Page]
) -> None:
    page = pages["here/toy/digits32-small/index.html"]
    assert Counter(tag for tag, _ in page.elements)["table"] == 3, "two metrics and the claims"
    for words in (
        "9.5",
        "± 0.7",
        "A is best",
        "undecided, about",
        "no result (ValueError: it broke)",
        "0123",
        "The numbers of RLU have changed since: version 1, now 2.",
    ):
        assert words in page.text
    assert "published" in pages["published/toy/faces-medium/index.html"].text
    cells = json.loads(re.search(r'id="cells">(.*?)</script>', page.path.read_text(), re.DOTALL)[1])  # type: ignore[index]
    runs = cells[0]["runs"]
    assert [(run["run"], run["here"], run["finished"]) for run in runs] == [
        ("AX0", True, True),
        ("AX1", False, False),
    ]


def made(folder: Path) -> list[str]:
    """The options that name a report's folders, which are there."""
    names = ("results", "published", "runs")
    for name in names:
        (folder / name).mkdir(exist_ok=True)
    return [f"--{name}={folder / name}" for name in names]


@pytest.mark.parametrize("option", ["results", "published", "runs"])
def test_a_folder_that_is_named_must_be_there(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*made(tmp_path), f"--{option}=nope"]) == 2
    assert capsys.readouterr().err == "harness: nope: there is no such folder\n"


def test_a_damaged_run_stops_no_report_and_is_said_by_the_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = made(tmp_path)
    toy(tmp_path / "results", Store(tmp_path / "runs"))
    (tmp_path / "runs" / "AX0" / "rows.jsonl").write_text("")
    assert main(folders) == 1
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'results' / 'site' / 'index.html'}\n"
    assert "AX0 is damaged (rows.jsonl" in err
    assert err.endswith("harness: 1 damaged run left out of this, as said above\n")


def test_a_new_site_replaces_the_old_one_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = made(tmp_path)
    assert main(folders) == 2
    assert "nothing to show" in capsys.readouterr().err
    toy(tmp_path / "results", Store(tmp_path / "runs"))
    assert main(folders) == 0
    index = tmp_path / "results" / "site" / "index.html"
    assert capsys.readouterr().out == f"{index}\n"
    stale = index.parent / "runs" / "old.js"
    stale.touch()
    assert main(folders) == 0
    assert not stale.exists()
    assert [result.name for result in find(tmp_path / "results", "made here")] == ["digits32-small"], (
        "not the site"
    )
    capsys.readouterr()
    assert main([*folders, f"--to={tmp_path / 'results' / 'toy'}"]) == 2
    assert "is no report" in capsys.readouterr().err
    assert (tmp_path / "results" / "toy" / "digits32-small" / "cells.csv").exists()


def test_a_broken_result_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy(tmp_path / "results", Store(tmp_path / "runs"))
    (tmp_path / "results" / "toy" / "digits32-small" / "document.json").write_text('{"title": 3')
    assert main([f"--results={tmp_path / 'results'}", f"--runs={tmp_path / 'runs'}"]) == 2
    error = capsys.readouterr().err
    assert "digits32-small can't be read" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "results" / "site").exists()


def test_a_place_that_cannot_be_written_is_a_user_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy(tmp_path / "results", Store(tmp_path / "runs"))
    (tmp_path / "file").touch()
    folders = made(tmp_path)
    assert main([*folders, f"--to={tmp_path / 'file' / 'site'}"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("harness: ")


def test_what_comes_with_the_project_makes_a_site(tmp_path: Path) -> None:
    """With tables that have neither a gallery nor figures, and before anything was run."""
    results, _, runs = made(tmp_path)
    assert main([results, runs, f"--to={tmp_path / 'site'}"]) == 0
    shown = Page(tmp_path / "site" / "index.html")
    published = EXPERIMENTS / "results"
    for cells in published.glob("*/*/cells.csv"):
        place = cells.parent.relative_to(published)
        assert any(str(place) in unquote(address) for address in shown.addresses()), place
