"""Leases: one writer at a time, on one machine or on many; the dead are replaced, those given up write nothing."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from harness.store import lease
from harness.store.journal import decode
from harness.store.lease import Held, Lease, abandoned, holder
from harness.store.records import Run, Store
from tests.store.test_records import CONFIG, keys, store_problem

Elsewhere = Callable[[], AbstractContextManager[None]]
Wait = Callable[[float], None]
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    """Within the block, this process is on another machine; its leases give signs of life only where it says so."""

    @contextmanager
    def block() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(lease, "_machine", lambda: "another machine")
            patch.setattr(lease.Lease, "_beat", lambda *_: None)
            yield

    return block


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Wait:
    """Let time pass at once."""
    passed = [0.0]
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + passed[0])

    def more(seconds: float) -> None:
        passed[0] += seconds

    return more


def held_by_another_process(directory: Path) -> BaseProcess:
    """A process that has the lease and sleeps."""
    ready = FORK.Event()

    def work() -> None:
        Lease(directory)
        ready.set()
        time.sleep(60)

    process = FORK.Process(target=work)
    process.start()
    assert ready.wait(30)
    return process


def leases(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_of_many_processes_that_want_a_lease_one_gets_it(tmp_path: Path) -> None:
    start, over, won = FORK.Event(), FORK.Event(), FORK.Queue()

    def work() -> None:
        start.wait()
        try:
            Lease(tmp_path)
            won.put(os.getpid())
        except Held:
            won.put(None)
        over.wait()

    processes = [FORK.Process(target=work) for _ in range(8)]
    for process in processes:
        process.start()
    start.set()
    winners = [pid for _ in processes if (pid := won.get()) is not None]
    found = holder(tmp_path)
    over.set()
    for process in processes:
        process.join()
    assert found is not None
    assert winners == [found.pid]
    assert holder(tmp_path) is None
    assert leases(tmp_path) == [".lease-1"]


def test_the_lease_of_a_process_that_was_killed_is_free_at_once(tmp_path: Path) -> None:
    process = held_by_another_process(tmp_path)
    with pytest.raises(Held, match=f"another process: process {process.pid} on "):
        Lease(tmp_path)
    os.kill(process.pid or 0, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while holder(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.01)
    Lease(tmp_path).renew()  # though nobody has reaped the process yet
    process.join()


def test_a_later_process_with_the_same_number_is_not_the_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = held_by_another_process(tmp_path)
    try:
        monkeypatch.setattr(lease, "_born", lambda pid: "another time")
        assert holder(tmp_path) is None
    finally:
        process.kill()
        process.join()


def test_a_lease_that_is_given_back_can_be_taken_and_numbers_only_grow(tmp_path: Path) -> None:
    Lease(tmp_path).release()
    Lease(tmp_path).release()
    assert leases(tmp_path) == [".lease-2"]
    Lease(tmp_path).end()
    assert leases(tmp_path) == []


def test_a_worker_on_another_machine_that_is_silent_is_dead_after_a_time(
    tmp_path: Path, elsewhere: Elsewhere, wait: Wait
) -> None:
    with elsewhere():
        Lease(tmp_path, expiry=100)
    with pytest.raises(Held):
        Lease(tmp_path)
    wait(99)
    with pytest.raises(Held):
        Lease(tmp_path)
    wait(2)
    Lease(tmp_path).renew()
    assert leases(tmp_path) == [".lease-2"]


def test_a_worker_on_another_machine_that_gives_signs_of_life_keeps_its_lease(
    tmp_path: Path, elsewhere: Elsewhere, wait: Wait
) -> None:
    with elsewhere():
        other = Lease(tmp_path, expiry=100)
    for _ in range(5):
        assert holder(tmp_path)
        wait(80)
        other.renew()


@pytest.mark.parametrize("jump", [-1e6, -3600, 3600, 1e6])
def test_a_clock_that_jumps_neither_frees_a_lease_nor_keeps_it(
    tmp_path: Path, elsewhere: Elsewhere, wait: Wait, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    """On either side: the file server's clock, or this machine's."""
    with elsewhere():
        other = Lease(tmp_path, expiry=100)
    real = time.time
    assert holder(tmp_path)
    now = real() + jump
    os.utime(other._path, (now, now))
    monkeypatch.setattr(time, "time", lambda: real() - jump)
    assert holder(tmp_path)
    wait(99)
    assert holder(tmp_path)
    wait(2)
    assert holder(tmp_path) is None


def test_one_that_was_given_up_notices_before_it_writes(
    tmp_path: Path, elsewhere: Elsewhere, wait: Wait
) -> None:
    with elsewhere():
        slow = Run(tmp_path / "abc", CONFIG, expiry=100)
        store_problem(slow, 0)
    with pytest.raises(Held, match="another process"):
        Store(tmp_path).open("abc", CONFIG)
    wait(101)
    run = Store(tmp_path).open("abc", CONFIG)
    assert run.finished == {0}
    with pytest.raises(Held, match="taken over"):
        store_problem(slow, 1)
    with pytest.raises(Held, match="taken over"):
        slow.finish({}, {})
    assert not (tmp_path / "abc" / "parts" / "1.safetensors").exists()
    slow.close()
    store_problem(run, 1)
    assert keys(run.finish({}, {}).rows) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert not [path for path in (tmp_path / "abc").iterdir() if path.name.startswith(".")]


def test_a_row_that_is_under_way_when_the_lease_is_lost_goes_nowhere(
    tmp_path: Path, elsewhere: Elsewhere, wait: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder is suspended between its last look at the lease and the writing of the row."""
    with elsewhere():
        slow = Run(tmp_path / "abc", CONFIG, expiry=100)
        store_problem(slow, 0)
    assert Store(tmp_path).holder("abc")
    wait(101)
    run = Store(tmp_path).open("abc", CONFIG)
    store_problem(run, 1)
    monkeypatch.setattr(slow._lease, "renew", lambda: None)
    store_problem(slow, 1)
    rows, broken = decode((tmp_path / "abc" / "rows.jsonl").read_bytes())
    assert (len(rows), broken) == (4, 0)
    assert run.finish({}, {}).rows == rows


def test_signs_of_life_come_by_themselves(tmp_path: Path) -> None:
    one = Lease(tmp_path, expiry=0.12)
    before = one._path.stat().st_mtime_ns
    deadline = time.monotonic() + 30
    while one._path.stat().st_mtime_ns == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert one._path.stat().st_mtime_ns > before
    one.end()


@pytest.mark.parametrize("born", [None, "1"])
def test_a_lease_of_a_process_that_has_ended_is_dead_whatever_it_says_of_its_birth(
    born: str | None, tmp_path: Path
) -> None:
    ended = max(int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()) + 10_000
    named = {"host": "here", "machine": lease._machine(), "pid": ended, "born": born, "expiry": 100.0}
    (tmp_path / ".lease-1").write_text(json.dumps(named))
    assert holder(tmp_path) is None
    assert abandoned(tmp_path) == 1


def test_what_a_kill_left_in_a_finished_run_is_cleared_and_a_live_lease_is_not(
    tmp_path: Path, elsewhere: Elsewhere
) -> None:
    run = Store(tmp_path).open("abc", CONFIG)
    store_problem(run, 0)
    left = (tmp_path / "abc" / ".lease-1").read_bytes()
    run.finish({}, {})
    (tmp_path / "abc" / "parts").mkdir()
    (tmp_path / "abc" / ".lease-1").write_bytes(left.replace(b'"born": "', b'"born": "0'))
    Store(tmp_path).tidy("abc")
    assert not [
        path for path in (tmp_path / "abc").iterdir() if path.name in (".lease-1", ".lease-2", "parts")
    ]
    with elsewhere():
        other = Lease(tmp_path / "abc", expiry=100)
    Store(tmp_path).tidy("abc")
    assert other._path.exists()
    other.end()
