"""A second report draws what has changed, and a damaged run stops none."""

import os
from pathlib import Path
from typing import Any

import pytest

from harness.report.runs import page_data
from harness.report.site import build
from harness.store.integrity import StoredRun
from harness.store.records import Store
from tests.report.conftest import toy


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that are drawn, in order."""
    names: list[str] = []

    def draw(stored: StoredRun, *more: Any) -> Any:
        names.append(stored.directory.name)
        return page_data(stored, *more)

    monkeypatch.setattr("harness.report.site.page_data", draw)
    return names


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_only_what_has_changed_is_drawn_again(
    tmp_path: Path, drawn: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folders = tmp_path / "site", tmp_path / "results", tmp_path / "published", tmp_path / "runs"
    toy(tmp_path / "results", Store(tmp_path / "runs"))
    build(*folders)
    whole, first = content(folders[0]), [*drawn]
    assert first == ["AX0", "AY0", "BX0", "BY0", "CX0", "CY0"]
    drawn.clear()
    build(*folders)
    assert (content(folders[0]), drawn) == (whole, [])
    os.utime(tmp_path / "runs" / "BX0" / "reconstructions.safetensors", (0, 0))
    (folders[0] / "runs" / "CX0.png").unlink()
    build(*folders)
    assert drawn == ["BX0", "CX0"]
    damaged = tmp_path / "runs" / "AY0" / "reconstructions.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    drawn.clear()
    capsys.readouterr()
    assert build(*folders).runs == 5
    assert drawn == ["AY0"]
    assert (
        "AY0 is damaged (reconstructions.safetensors, it is not as it was stored)" in capsys.readouterr().err
    )
    assert {path.stem for path in (folders[0] / "runs").iterdir()} == {*first} - {"AY0"}
    assert "AY0" not in (folders[0] / "runs.html").read_text()
    (tmp_path / "results" / "toy").rename(tmp_path / "results" / "other")
    drawn.clear()
    build(*folders)
    assert drawn == ["AX0", "AY0", "BX0", "BY0", "CX0", "CY0"], "the pages of their cells are elsewhere"
