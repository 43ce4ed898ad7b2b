"""How far the time that a progress bar promises after a quarter of the work is from what the rest then takes."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from harness.base.clock import left
from harness.bench.report import BenchResult
from harness.config.composition import compose
from harness.runs import run as running

CASES = {"ig": 100, "gi": 100, "idlg": 20, "dlg": 20}
"""Attacks, and their steps."""
IMAGES, QUARTER = 3, 0.25


class _Watched:
    """A bar that remembers when how much was done."""

    def __init__(self) -> None:
        self.begun, self.done = time.perf_counter(), 0
        self.seen: list[tuple[float, float]] = []

    def advance(self, postfix: str = "", steps: int = 1, shares: float = 0.0) -> None:
        self.done += steps
        self.begin(shares)

    def begin(self, shares: float, postfix: str = "") -> None:
        self.seen.append((time.perf_counter() - self.begun, self.done + shares))


def measure() -> list[BenchResult]:
    """The worst of some attacks, of which each is told: promised over taken, or the reverse."""
    found = {f"x, {attack}": _error(attack, steps) for attack, steps in CASES.items()}
    return [BenchResult("progress_left", max(found.values()), {"images": IMAGES, **found})]


def _error(attack: str, steps: int) -> float:
    watched: list[_Watched] = []

    @contextmanager
    def task(*_: object, **__: object) -> Iterator[_Watched]:
        watched.append(_Watched())
        yield watched[-1]

    settings = (f"attack={attack}", f"attack.steps={steps}", "dataset=photos32", "device=cpu", "logger=none")
    with tempfile.TemporaryDirectory() as folder, patch.object(running, "task", task):
        running.run(compose(*settings, f"trials={IMAGES}", f"paths.runs={folder}"))
    seen = watched[0].seen
    spent, gone = next((spent, gone) for spent, gone in seen if gone >= QUARTER * IMAGES)
    promised, took = left(spent, gone, IMAGES) or 0.0, seen[-1][0] - spent
    return max(promised / took, took / promised) if promised and took else 1.0
