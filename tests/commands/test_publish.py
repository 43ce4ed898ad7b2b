"""Publishing copies what the README shows, and no machine's paths."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.base.errors import UserError
from harness.base.rows import read_csv
from harness.commands.publish import COLOURS, WEIGHT, _pictures, main, publish, without_paths
from harness.store.published import ARCHIVE

PUBLISHED = Path(__file__).parents[2] / "experiments" / "results"


def rendered(results: Path, name: str) -> None:
    folder = results / "table3" / name
    folder.mkdir(parents=True)
    for file in ("cells.csv", "table.md", "table.tex", "table.html"):
        (folder / file).write_text(f"{file} of {name}")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "gallery.png")
    overrides = ["data.root=/home/somebody/data", "attack=ig", "paths.runs='/tmp/a b/runs'"]
    (folder / "provenance.json").write_text(json.dumps({"git": "0123", "cells": [{"overrides": overrides}]}))
    (folder / "document.json").write_text(json.dumps({"notes": ["A x B: no result (no /home/somebody/x)."]}))


def test_every_rendered_table_is_copied(tmp_path: Path) -> None:
    for name in ("digits32-small", "tile_sheets-small", "digits32-smoke"):
        rendered(tmp_path / "results", name)
    publish("table3", tmp_path / "results", tmp_path / "to")
    assert {path.name for path in (tmp_path / "to" / "table3").iterdir()} == {
        "digits32-small", "tile_sheets-small", "digits32-smoke",
    }  # fmt: skip
    target = tmp_path / "to" / "table3" / "digits32-small"
    assert {path.name for path in target.iterdir()} == {
        "cells.csv",
        "document.json",
        "table.md",
        "gallery.png",
        "provenance.json",
    }
    assert (target / "table.md").read_text() == "table.md of digits32-small"


def test_a_dataset_and_a_scale_can_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("digits32-small", "digits32-smoke", "tile_sheets-small"):
        rendered(tmp_path / "results", name)
    folders = [f"--results={tmp_path / 'results'}", f"--to={tmp_path / 'to'}"]
    assert main(["table3", "--dataset", "digits32", "--scale", "small", *folders]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'to' / 'table3' / 'digits32-small'}/\n"
    assert [path.name for path in (tmp_path / "to" / "table3").iterdir()] == ["digits32-small"]


def test_pictures_keep_their_looks_and_lose_their_weight(tmp_path: Path) -> None:
    rendered(tmp_path / "results", "digits32-small")
    (target,) = publish("table3", tmp_path / "results", tmp_path / "to")
    before = tmp_path / "results" / "table3" / "digits32-small" / "gallery.png"
    assert (target / "gallery.png").stat().st_size < 0.6 * before.stat().st_size
    one, other = (np.asarray(Image.open(p).convert("RGB"), float) for p in (before, target / "gallery.png"))
    assert np.abs(one - other).mean() < 25, "noise is the worst there is for a palette"
    (again,) = publish("table3", tmp_path / "to", tmp_path / "once more")
    assert (again / "gallery.png").read_bytes() == (target / "gallery.png").read_bytes()


def test_many_pictures_have_fewer_colours(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)

    def colours(count: int) -> int:
        for k in range(count):
            Image.fromarray(noise).save(tmp_path / f"{k}.png")
        return len(Image.open(io.BytesIO(_pictures(tmp_path)["0.png"])).getcolors())

    assert (colours(1), colours(15), colours(18)) == COLOURS
    assert sum(map(len, _pictures(tmp_path).values())) <= WEIGHT


def attacked(cells: Path) -> int:
    """Images of all cells."""
    rows = read_csv(cells)
    first = next((row.get("metric") for row in rows), None)
    return sum(int(row["n"] or 0) for row in rows if row.get("metric") == first and "n" in row)


@pytest.mark.parametrize(
    "folder", sorted(PUBLISHED.glob("*/*-*/")), ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_what_is_published_is_light_and_a_line_a_cell(folder: Path) -> None:
    settings, images = len(list(folder.glob("report-*.md"))), attacked(folder / "cells.csv")
    assert sum(path.stat().st_size for path in folder.glob("*.png")) <= WEIGHT
    most = max(1_000_000 + 100_000 * settings, 120 * images)
    assert sum(path.stat().st_size for path in folder.glob(ARCHIVE)) <= most
    lines = (folder / "provenance.json").read_text().splitlines()
    cells = json.loads("\n".join(lines)).get("cells", [])
    assert sum('"run": ' in line for line in lines) == len(cells)


def test_machine_paths_are_stripped(tmp_path: Path) -> None:
    rendered(tmp_path / "results", "digits32-small")
    (target,) = publish("table3", tmp_path / "results", tmp_path / "to")
    text = "".join((target / f"{name}.json").read_text() for name in ("document", "provenance"))
    assert "home" not in text
    assert "tmp" not in text
    cells = json.loads((target / "provenance.json").read_text())["cells"]
    assert cells[0]["overrides"][:2] == ["data.root=PATH", "attack=ig"]


@pytest.mark.parametrize(
    ("text", "stripped"),
    [
        ("/home/me/data", "PATH"),
        ("data.root=~/data", "data.root=PATH"),
        (r"data.root=C:\Users\me", "data.root=PATH"),
        ("could not read '/srv/x.png', sorry", "could not read 'PATH', sorry"),
        ("runs/abc and 90 % / 80 %", "runs/abc and 90 % / 80 %"),
        ("train/val, CPU s/img", "train/val, CPU s/img"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        (3, 3),
    ],
)
def test_only_absolute_paths_are_paths(text: object, stripped: object) -> None:
    assert without_paths({"a": [text]}) == {"a": [stripped]}


def test_a_table_that_was_never_rendered_is_a_user_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="no rendered table3"):
        publish("table3", tmp_path, tmp_path)
    for name, told in (
        ("table3", "say python -m harness table=table3 first"),
        ("survey_stages", "say python -m harness sweep=survey_stages first"),
        ("tabel3", "did you mean 'table3'?"),
    ):
        assert main([name, f"--results={tmp_path}"]) == 2
        assert told in capsys.readouterr().err
