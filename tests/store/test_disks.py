"""Disks that are full, read-only or hold broken lines: said in a line, and nothing that was whole is lost."""

import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.store.journal import decode
from harness.store.records import Store
from tests.command import ONE, QUICK, Main, measured_rows
from tests.command import main as main
from tests.store.test_records import store_problem


def mount(folder: Path, options: str) -> None:
    """A file system of its own, or the test is skipped: it takes root, and a sandbox that lets it."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("nothing can be mounted here")


@contextmanager
def small_disk(folder: Path) -> Iterator[Callable[[], None]]:
    """A directory on a disk of 64 KiB; what is handed out makes room."""
    mount(folder, "size=64k")
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=16m", str(folder)], check=True) and None  # type: ignore[misc]
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def small_files(folder: Path) -> Iterator[Callable[[], None]]:
    """No file may be larger than 14,000 bytes, so that a line of the journal is torn; what is handed out lifts that."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (14_000, before[1]))
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("full", [small_disk, small_files])
def test_a_full_disk_is_said_and_goes_on_when_there_is_room(
    full: Callable[[Path], Any], main: Main, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = (*QUICK, "attack=ig", "attack.steps=2", "trials=20")
    with full(tmp_path / "runs") as make_room:
        assert main(*command) == 2
        out, err = capfd.readouterr()
        (line,) = [line for line in err.splitlines() if line.startswith("harness: ")]
        assert "make room and say the same command again" in line
        assert "Traceback" not in err
        assert out == ""
        kept = measured_rows(tmp_path)
        assert 0 < len(kept) < 20
        make_room()
        assert main(*command) == 0
        whole = measured_rows(tmp_path)
    assert [row for row in whole if row in kept] == kept
    assert [row["problem"] for row in whole] == list(range(20))


def test_a_read_only_disk(main: Main, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mount(tmp_path / "runs", "ro")
    try:
        assert main(*ONE) == 2
    finally:
        subprocess.run(["umount", str(tmp_path / "runs")], check=True)
    assert "read-only file system" in capfd.readouterr().err


Damage = Callable[[list[bytes]], bytes]
JOURNALS: dict[str, tuple[Damage, set[int]]] = {
    "half a line at the end": (lambda lines: b"".join(lines)[:-9], {0, 1}),
    "garbage at the end": (lambda lines: b"".join(lines) + b"\x00\xff\xfe{", {0, 1, 2}),
    "garbage in the middle": (lambda lines: b"".join([*lines[:2], b"\x80\x00\n", *lines[3:]]), {0, 2}),
    "JSON that is no row": (
        lambda lines: b"".join([lines[0], b'[1, 2]\n{"mse": 1}\n3\n', *lines[1:]]),
        {0, 1, 2},
    ),
    "a doubled row": (lambda lines: b"".join([*lines, lines[0]]), {0, 1, 2}),
    "a piece out of the middle": (lambda lines: b"".join(lines)[:40] + b"".join(lines)[90:], {1, 2}),
    "another image of the same": (
        lambda lines: b"".join([*lines[:5], lines[5].replace(b'"image": 1', b'"image": 5')]),
        {0, 1},
    ),
    "nothing": (lambda lines: b"", set()),
}


@pytest.mark.parametrize("name", JOURNALS)
def test_what_is_broken_in_a_journal_is_dropped_and_nothing_else(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, left = JOURNALS[name]
    run = Store(tmp_path).open("abc", {})
    for problem in range(3):
        store_problem(run, problem)
    journal = tmp_path / "abc" / "rows.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(damage(whole.splitlines(keepends=True)))
    again = Store(tmp_path).open("abc", {})
    assert again.finished == left
    told = capsys.readouterr().err
    assert told.count("\n") == (name not in ("a doubled row", "nothing")), told
    for problem in {0, 1, 2} - left:
        store_problem(again, problem)
    assert again.finish({}, {}).rows == decode(whole)[0]
