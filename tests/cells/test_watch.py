"""The bar of many runs moves by their images, whoever makes them."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.cells import watch
from harness.config import compose
from harness.store.integrity import ROWS
from harness.store.records import Store


class Noted:
    def __init__(self) -> None:
        self.shares: list[float] = []
        self.done = 0

    def begin(self, shares: float, postfix: str = "") -> None:
        self.shares.append(shares)

    def advance(self, postfix: str = "", steps: int = 1, shares: float = 0.0) -> None:
        self.done += 1


def write(root: Path, run: str, problems: list[int]) -> None:
    (root / run).mkdir(exist_ok=True)
    rows = (json.dumps({"psnr": 1.0, "problem": number, "image": k}) for number in problems for k in range(2))
    (root / run / ROWS).write_text("\n".join(rows) + '\n{"psnr": 3.0, "prob')


def test_cells_under_way_count_by_the_images_stored_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bar, store = Noted(), Store(tmp_path)
    experiments = {
        name: cast(Any, SimpleNamespace(id=name, targets=None, trials=4)) for name in ("one", "two")
    }
    ended: set[str] = set()
    monkeypatch.setattr(watch, "_news", lambda _, run, __: "done" if run.id in ended else None)
    waiting = {name: (name, run) for name, run in experiments.items()}
    weights = dict.fromkeys(waiting, 1.0)
    write(tmp_path, "one", [0])
    before = {name: watch._share(store, run) for name, run in experiments.items()}

    def look() -> float:
        watch._count(store, waiting, weights, before, str, cast(Any, bar))
        return bar.shares[-1]

    assert before == {"one": 0.25, "two": 0.0}
    assert look() == 0.0
    write(tmp_path, "one", [0, 1, 2])
    write(tmp_path, "two", [3])
    assert look() == 0.75
    ended.add("one")
    assert (look(), bar.done) == (0.25, 1)
    write(tmp_path, "two", [])
    assert look() == 0.0


def test_what_is_left_goes_by_what_there_is_to_compute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a long run and two short ones the long one alone is most of the work."""
    bar, store = Noted(), Store(tmp_path)
    settings = {"long": (80, 0), "short": (10, 0), "other": (10, 1)}
    runs = {
        name: (name, compose("attack=ig", f"attack.steps={steps}", f"seed={seed}", "trials=2"))
        for name, (steps, seed) in settings.items()
    }
    names = {run.id: name for name, run in runs.values()}
    waiting = {run.id: (name, run) for name, run in runs.values()}
    ended: set[str] = set()
    monkeypatch.setattr(watch, "_news", lambda _, run, __: "done" if names[run.id] in ended else None)
    weights, before = watch.weighed(waiting), dict.fromkeys(waiting, 0.0)
    assert sum(weights.values()) == pytest.approx(3)

    def reached() -> float:
        watch._count(store, waiting, weights, before, str, cast(Any, bar))
        return (bar.done + bar.shares[-1]) / 3

    write(tmp_path, runs["long"][1].id, [0])
    assert reached() == pytest.approx(0.4)
    ended.add("long")
    assert reached() == pytest.approx(0.8)
    ended.update(("short", "other"))
    assert reached() == pytest.approx(1.0)
