"""The measurement of equality: rows are added to, paired by image and steps, and told with what they show."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from harness.bench import equality
from harness.bench.equality import Key, document, load, save
from harness.tables.layout import Cell


def rows(steps: int, shift: float, images: int = 8) -> dict[Key, float]:
    return {
        Key("IG", column, steps, image, engine): image
        + (shift + 0.01 * (image % 2) if engine == "native" else 0)
        for column in ("a", "b")
        for image in range(images)
        for engine in ("loop", "native")
    }


def test_what_is_stored_is_read_again(tmp_path: Path) -> None:
    found = rows(9, 0.02)
    save(found, tmp_path)
    assert load(tmp_path) == found
    assert load(tmp_path / "nowhere") == {}


def test_rows_of_other_steps_stand_apart() -> None:
    lines = document(rows(9, 0.02) | rows(3, 0.9)).splitlines()
    within = {line.split(" | ")[2]: line for line in lines if " | all | " in line}
    assert within["9"].endswith("| yes |")
    assert "not shown" in within["3"]


def test_an_image_of_one_engine_alone_is_no_pair() -> None:
    found = rows(9, 0.02) | {Key("IG", "a", 9, 8, "loop"): 1.0}
    assert document(found) == document(rows(9, 0.02))


def test_only_what_is_missing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int, str, list[int]]] = []

    def measured(cell: Cell, steps: int, engine: str, images: Sequence[int]) -> Iterator[tuple[Key, float]]:
        asked.append((cell.column, steps, engine, list(images)))
        yield from ((Key(cell.row, cell.column, steps, image, engine), 1.0) for image in images)

    cells = [Cell("IG", column, 0, ()) for column in ("a", "b")]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(equality, "cells", lambda: cells)
    monkeypatch.setattr(equality, "share_of_steps", lambda cell, share: int(10 * share))
    monkeypatch.setattr(equality, "measure", measured)
    equality.main(["--images", "4", "--share", "0.5"])
    assert asked == [(c, 5, e, [0, 1, 2, 3]) for c in ("a", "b") for e in ("loop", "native")]
    asked.clear()
    equality.main(["--images", "6", "--share", "0.5", "--engine", "lowrank"])
    assert asked[:2] == [("a", 5, "lowrank", [0, 1, 2, 3]), ("b", 5, "lowrank", [0, 1, 2, 3])]
    assert asked[2:] == [(c, 5, e, [4, 5]) for c in ("a", "b") for e in ("loop", "lowrank")]


def test_all_columns_are_of_the_images_that_all_of_them_have() -> None:
    found = {
        Key("IG", column, 5, image, engine): psnr
        for column, images in (("a", (0, 1)), ("b", (0,)))
        for image in images
        for engine, psnr in (("loop", 10.0 + 20 * image), ("lowrank", 11.0 + 20 * image))
    }
    lines = equality.document(found).splitlines()
    assert any(line.startswith("| lowrank | IG | 5 | all | 1 | 10.00 | 11.00 | +1.00") for line in lines)
