"""The report's figures come from a real site, and one that can't be had says why."""

import shutil

import pytest

from harness.bench import site
from harness.bench.report import FIGURES


def test_a_site_is_built_and_without_a_browser_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "ROWS", 1)
    monkeypatch.setattr(site, "COLUMNS", 2)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    built, opened = site.measure(0)
    assert {built.name, opened.name} <= set(FIGURES)
    assert built.value is not None
    assert built.details["cells"] == 2
    assert float(built.details["files"]) > 2 * 2
    assert (opened.value, opened.reason) == (None, "chromium is not installed")
