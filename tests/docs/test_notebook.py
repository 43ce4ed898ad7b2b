"""The notebook runs from its first cell to its last, and is stored without what it prints."""

import json
from pathlib import Path

import matplotlib as mpl
import pytest

NOTEBOOK = Path(__file__).parents[2] / "experiments" / "notebooks" / "quickstart.ipynb"
CELLS = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]


def test_it_runs_in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    with mpl.rc_context({"backend": "Agg"}):
        for cell in CELLS:
            exec("".join(cell["source"]), names)
    assert len(names["frame"]) == 4  # type: ignore[arg-type]
    assert len([*tmp_path.glob("runs/*/gallery.png")]) == 2


def test_it_is_stored_without_outputs() -> None:
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in CELLS)
