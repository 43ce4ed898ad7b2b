"""A table whose processes are killed at random moments, again and again, ends like one that was left in peace."""

import json
import math
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.command import Main, stamps
from tests.commands.test_main import clean_environment
from tests.tables.test_sweep import TOY, _workers, main, rows, write

__all__ = ["main"]

Image = tuple[str, int, int]
KILLS, FORKED = (int(os.environ.get("HARNESS_KILLS", default)) for default in ("20", "2"))
"""How often commands are killed: those of their own, and those that are forked from the test's process."""


def stored(folder: Path) -> dict[Image, dict[str, Any]]:
    """Every row that stands whole in the store, with the time it took, which tells it from one computed again."""
    found: dict[Image, dict[str, Any]] = {}
    for journal in folder.glob("runs/*/rows.jsonl"):
        *whole, _torn = journal.read_text().split("\n")
        for row in map(json.loads, whole):
            key = (journal.parent.name, row["problem"], row["image"])
            assert key not in found, f"{key} stands twice"
            row.pop("check", None)  # of a line while its run goes on
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


@pytest.fixture
def peace(main: Main, tmp_path: Path) -> Callable[[], Path]:
    """Make the table that is to be tormented, undisturbed and elsewhere."""

    def make() -> Path:
        elsewhere = tmp_path / "peace"
        assert main(*[f"paths.{name}={elsewhere / name}" for name in ("runs", "results")]) == 0
        return elsewhere

    return make


def check_recovery(main: Main, folder: Path, undisturbed: Path, cells: int) -> None:
    """The same command makes the whole table from what is left: all rows are the undisturbed ones, to the last bit."""
    before = stored(folder)
    assert main() == 0
    assert before.items() <= stored(folder).items()
    assert len(stamps(folder)) == len(stamps(undisturbed)) == cells
    assert rows(folder) == rows(undisturbed)
    assert not list(folder.glob("runs/*/.*")), "something was left behind"


@pytest.mark.slow
@pytest.mark.timeout(180 * KILLS)
def test_kills_of_two_processes_lose_and_double_nothing(
    main: Main, tmp_path: Path, peace: Callable[[], Path]
) -> None:
    seeds = list(range(math.ceil(3 * KILLS / 20)))
    write(tmp_path / "own", seeds=seeds, base=[*TOY["base"], "trials=60"])
    undisturbed, cells = peace(), 4 * len(seeds)
    counts = torment(tmp_path, KILLS, ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], seed=20)
    assert counts[-1] < 60 * cells, "the last kill came too late to hit anything"
    check_recovery(main, tmp_path, undisturbed, cells)
    print(f"images stored after each kill: {counts}", file=sys.stderr)


@pytest.mark.timeout(180)
def test_workers_end_when_their_command_is_killed(main: Main, tmp_path: Path) -> None:
    write(tmp_path / "own", base=[*TOY["base"], "trials=60"])
    process = begin(tmp_path, ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"])
    while not stored(tmp_path):
        assert process.poll() is None, "it ended by itself"
        time.sleep(0.05)
    workers = _workers(process.pid)
    assert len(workers) >= 2
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while left := [worker for worker in workers if Path(f"/proc/{worker}").exists()]:
        assert time.monotonic() < deadline, f"{left} go on without a command"
        time.sleep(0.2)


@pytest.mark.timeout(300 + 60 * FORKED)
def test_kills_of_two_commands_lose_and_double_nothing(
    main: Main, tmp_path: Path, peace: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forked, which spares them the imports, and slowed down, so that they are hit at work."""
    from harness.store.recording import Run

    trials = min(60, 2 * FORKED)
    seeds = list(range(math.ceil(2 * FORKED / trials)))
    write(tmp_path / "own", seeds=seeds, base=[*TOY["base"], f"trials={trials}"])
    undisturbed, append, chance = peace(), Run.append, random.Random(3)

    def slow(self: Run, *found: Any) -> None:
        append(self, *found)
        time.sleep(0.05)

    fork = multiprocessing.get_context("fork")
    for _ in range(FORKED):
        before = stored(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(Run, "append", slow)
            commands = [fork.Process(target=main) for _ in range(2)]
            for command in commands:
                command.start()
        while len(stored(tmp_path)) == len(before) and any(command.is_alive() for command in commands):
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.1))
        seen = stored(tmp_path)
        for command in commands:
            command.kill()
            command.join()
        assert before.items() <= seen.items() <= stored(tmp_path).items()
        check_results(tmp_path)
    cells = 4 * len(seeds)
    assert FORKED <= len(stored(tmp_path)) < trials * cells, "the kills came too late to hit anything"
    check_recovery(main, tmp_path, undisturbed, cells)
