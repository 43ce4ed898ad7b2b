"""The site in a real browser, opened from the disk: sorting, filters, cells, runs, two runs, hostile names, phones."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.report.conftest import FAMILY, TAG

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
)  # fmt: skip
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)"
)


def dump(address: str, profile: Path, *more: str) -> tuple[str, str]:
    """The page as it stands when its scripts are done, and the browser's log."""
    command = [str(CHROMIUM), *FLAGS, *more, f"--user-data-dir={profile}", "--dump-dom", address]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def seen(site: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the scenarios of browser.js saw, all in one start of the browser."""
    pages = sorted(quote(str(path.relative_to(site))) for path in site.rglob("*.html"))
    cell = urlencode({"row": TAG, "column": TAG + "2"})
    evil = f"{quote(f'here/{FAMILY}/{FAMILY}')}/index.html#{cell}"
    script = f"const pages = {json.dumps(pages)}, evil = {json.dumps(evil)};\n"
    script += Path(__file__).with_name("browser.js").read_text()
    driver = site / "driver.html"
    driver.write_text(f'<!doctype html><body><pre id="results"></pre><script>{script}</script>')
    flags = ("--allow-file-access-from-files", "--virtual-time-budget=120000")
    page, log = dump(driver.as_uri(), tmp_path_factory.mktemp("profile"), *flags)
    driver.unlink()
    found = re.search(r'<pre id="results">(.*?)</pre>', page, re.DOTALL)
    assert found, log
    results: dict[str, Any] = json.loads(html.unescape(found[1]))
    assert not [line for line in log.splitlines() if "CONSOLE" in line and "nothing.js" not in line]
    return results


def test_a_columns_name_sorts_down_up_and_not_at_all(seen: dict[str, Any]) -> None:
    found = seen["sorting"]
    best = ["BX0", "BY0", "CX0", "CY0", "AX0", "AY0", "evil"]
    assert found["down"] == best
    assert found["up"] == ["evil", "AX0", "AY0", "CX0", "CY0", "BX0", "BY0"]
    assert found["again"] == found["before"] != best
    assert [found[f"{name} said"] for name in ("down", "up", "again")] == ["descending", "ascending", "none"]


def test_filters_hide_rows_and_say_how_many_are_left(seen: dict[str, Any]) -> None:
    found = seen["filtering"]
    assert found["words"] == {"rows": ["BX0"], "count": "1 of 7 rows"}
    assert found["facet"] == ["CX0", "CY0"]
    assert found["address"] == "#attack=c"


def test_a_long_table_shows_its_first_rows_until_all_are_asked_for(seen: dict[str, Any]) -> None:
    found = seen["long"]
    assert found["first"] == {"rows": ["BX0", "BY0", "CX0"], "count": "3 of 7 rows"}
    assert (found["all"], found["button"]) == (7, True)


def test_an_address_holds_the_view(seen: dict[str, Any]) -> None:
    assert seen["address"] == {"rows": ["AY0", "CY0", "BY0"], "words": "Y0"}


def test_a_cell_shows_its_numbers_and_leads_to_its_runs(seen: dict[str, Any]) -> None:
    found = seen["cell"]
    assert (found["open"], found["closed"]) == (True, True)
    assert found["title"] == "A × X"  # noqa: RUF001
    assert found["runs"] == ["AX0", "AX1"]
    assert found["numbers"] == ["PSNR ↑", "9.5", "0.7", "9.0, 10.0", "2"]
    assert found["links"] == ["../../../run.html#run=AX0", "../../../runs.html#a=AX0"]
    assert found["address"] == "#row=A&column=X"


def test_one_metric_can_be_chosen(seen: dict[str, Any]) -> None:
    assert seen["metric"] == ["MSE"]


def test_a_run_shows_images_loss_rows_config_and_provenance(seen: dict[str, Any]) -> None:
    found = seen["run"]
    assert found["title"] == "b x x x digits32, seed 0"
    assert found["labels"] == [
        "Original 0",
        "Reconstruction 0, 30.5 dB",
        "Original 1",
        "Reconstruction 1, 31.5 dB",
    ]
    for words in (
        "attack.steps",
        "300",
        "versions.torch",
        "psnr_unit",
        "2 budget",
        "Table of toy, digits32-small",
    ):
        assert words in found["text"]


def test_the_loss_has_a_line_for_each_image_and_two_kinds_of_axis(seen: dict[str, Any]) -> None:
    assert seen["chart"] == {
        "curves": 2,
        "names": ["target 0", "target 1"],
        "before": "log",
        "after": "linear",
    }


def test_a_run_that_is_not_there_is_said(seen: dict[str, Any]) -> None:
    assert seen["missing"] == ["run nothing is not in this report."]


def test_two_runs_are_compared_where_they_differ(seen: dict[str, Any]) -> None:
    found = seen["comparing"]
    assert found["lines"] == [["attack.steps", "20", "300"], ["attack", "a", "b"]]
    assert ["psnr_unit", "9.5", "31", "+21.5"] in found["metrics"]
    assert found["images"] == 2 * 3, "of each target the original, A and B"
    assert found["curves"] == 4


def test_hostile_names_are_shown_and_not_obeyed(seen: dict[str, Any]) -> None:
    for address, page in seen["hostile"].items():
        assert page["strange"] == 0, address
        assert not page["owned"], address
    assert TAG in seen["hostile"]["run.html#run=evil"]["text"]
    assert TAG in seen["hostile"]["compare.html#a=evil&b=AX0"]["text"]


def test_no_page_is_wider_than_a_phone(seen: dict[str, Any]) -> None:
    assert {address: width for address, width in seen["narrow"].items() if width > 360} == {}
    assert len(seen["narrow"]) > 8


def test_a_run_opens_from_the_disk_without_any_leave(site: Path, tmp_path: Path) -> None:
    page, log = dump(f"{(site / 'run.html').as_uri()}#run=AX0", tmp_path, "--virtual-time-budget=5000")
    assert "<h1>a x x x digits32, seed 0</h1>" in page
    assert "CONSOLE" not in log
