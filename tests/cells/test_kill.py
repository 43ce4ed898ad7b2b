"""A table whose processes are killed at random moments, again and again, ends like one that was left in peace."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.tables.test_sweep import TOY, Main, _workers, main, rows, stamps, write
from tests.test_cli import clean_environment

__all__ = ["main"]

Image = tuple[str, int, int]


def stored(folder: Path) -> dict[Image, dict[str, Any]]:
    """Every row that stands whole in the store, with the time it took, which tells it from one computed again."""
    found: dict[Image, dict[str, Any]] = {}
    for journal in folder.glob("runs/*/rows.jsonl"):
        *whole, _torn = journal.read_text().split("\n")
        for row in map(json.loads, whole):
            key = (journal.parent.name, row["problem"], row["image"])
            assert key not in found, f"{key} stands twice"
            found[key] = row
    return found


def check_results(folder: Path) -> None:
    """What is said to be finished is."""
    for result in folder.glob("runs/*/result.json"):
        json.loads(result.read_text())
        assert (result.parent / "reconstructions.safetensors").exists()


def begin(folder: Path, arguments: list[str]) -> "subprocess.Popen[bytes]":
    """The command, without pipes: workers that survive it would hold them open."""
    line = [sys.executable, "-m", "harness", "--config-dir", "own", "table=toy", *arguments]
    silent = subprocess.DEVNULL
    return subprocess.Popen(line, cwd=folder, env=clean_environment(), stdout=silent, stderr=silent)


def kill(process: "subprocess.Popen[bytes]", chance: random.Random) -> None:
    """Kill the command and its workers in any order: at once, or such that the rest lives on a little."""
    victims = [process.pid, *_workers(process.pid)]
    chance.shuffle(victims)
    _kill(victims[0])
    time.sleep(chance.choice([0, chance.uniform(0, 0.3)]))
    for victim in victims[1:]:
        _kill(victim)
    process.kill()
    process.wait()


def _kill(victim: int) -> None:
    try:
        os.kill(victim, signal.SIGKILL)
    except ProcessLookupError:  # it ended meanwhile
        return


def torment(folder: Path, rounds: int, arguments: list[str], seed: int) -> list[int]:
    """Kill the command at a random moment of its work, `rounds` times; how many images were stored after each."""
    chance, counts = random.Random(seed), []
    for _ in range(rounds):
        before = stored(folder)
        process = begin(folder, arguments)
        begun = time.monotonic()
        while (
            process.poll() is None and len(stored(folder)) == len(before) and time.monotonic() < begun + 120
        ):
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.5))
        seen = stored(folder)
        kill(process, chance)
        after = stored(folder)
        assert before.items() <= seen.items() <= after.items(), "a finished image was lost, or computed again"
        check_results(folder)
        counts.append(len(after))
        print(f"killed: {len(before)}, {len(seen)}, {len(after)} images stored", file=sys.stderr, flush=True)
    return counts


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("rounds", "seeds", "trials"),
    [(2, [0], 4), pytest.param(20, [0, 1, 2], 20, marks=pytest.mark.slow)],
    ids=["two", "twenty"],
)
def test_kills_of_two_processes_lose_and_double_nothing(
    main: Main, tmp_path: Path, rounds: int, seeds: list[int], trials: int
) -> None:
    """Whatever engine a cell takes: in the end all rows are those of an undisturbed run, to the last bit."""
    write(tmp_path / "own", seeds=seeds, base=[*TOY["base"], f"trials={trials}"])
    peace = tmp_path / "peace"
    assert main(*[f"paths.{name}={peace / name}" for name in ("runs", "results")]) == 0
    cells = 4 * len(seeds)
    counts = torment(tmp_path, rounds, ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], seed=20)
    assert counts[-1] < cells * trials, "the last kill came too late to hit anything"
    before = stored(tmp_path)
    assert main() == 0
    assert before.items() <= stored(tmp_path).items()
    assert len(stamps(tmp_path)) == len(stamps(peace)) == cells
    assert rows(tmp_path) == rows(peace)
    assert not list(tmp_path.glob("runs/*/.*")), "something was left behind"
    print(f"images stored after each kill: {counts}", file=sys.stderr)
