"""What a command makes of the store and of the queue, which is played here: a real one is in tests/cells/slurm."""

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.base import interruption
from harness.cells import cluster, slurm, submission
from harness.cells.slurm import SlurmJob
from harness.store.lease import Lease
from harness.store.records import Store

RUNS = {f"{number:012x}": cast(Any, SimpleNamespace(id=f"{number:012x}")) for number in range(4)}
Queue = dict[str, SlurmJob] | None


class Played:
    """A queue that answers as it is told to, whatever is submitted."""

    def __init__(self, answers: Iterator[Queue]) -> None:
        self.answers, self.done = answers, set[str]()
        self.submitted: list[int] = []
        self.cancelled: list[str] = []
        self.hastened: list[str] = []

    def submit(self, launcher: object, overrides: Sequence[object], stop: Path) -> tuple[list[str], str]:
        self.submitted.append(len(overrides))
        return [f"7_{number}" for number in range(len(overrides))], "a.log"


Play = Callable[..., tuple[Played, str | None]]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Look after two workers while the queue gives these answers, before which runs may be finished."""

    def run(
        *answers: Queue, finish: dict[int, int] | None = None, asked: list[int] | None = None
    ) -> tuple[Played, str | None]:
        def told() -> Iterator[Queue]:
            for number in count():
                (asked if asked is not None else []).append(number)
                played.done |= set(list(RUNS)[: (finish or {}).get(number, 0)])
                yield answers[min(number, len(answers) - 1)]

        played = Played(told())
        monkeypatch.setattr(cluster, "ended", lambda store, run: run.id in played.done)
        monkeypatch.setattr(cluster, "LOOK", 0.001)
        monkeypatch.setattr(cluster, "FIRST", 0.001)
        monkeypatch.setattr(cluster, "LONGEST", 0.001)
        monkeypatch.setattr(slurm, "queue", lambda: next(played.answers))
        monkeypatch.setattr(slurm, "submit", played.submit)
        monkeypatch.setattr(slurm, "cancel", played.cancelled.extend)
        monkeypatch.setattr(slurm, "hasten", played.hastened.extend)
        return played, cluster.work(cast(Any, None), [["a"], ["b"]], Store(tmp_path), RUNS)

    return run


def jobs(*states: str, reason: str = "None") -> Queue:
    return {f"7_{number}": SlurmJob(f"7_{number}", state, reason) for number, state in enumerate(states)}


def test_what_counts_is_the_store(play: Play, tmp_path: Path) -> None:
    """One worker was killed, the other waits in the queue again: all runs are there, and nothing is waited for."""
    played, news = play({}, jobs("RUNNING", "RUNNING"), jobs("PENDING"), finish={2: 4})
    assert news is None
    assert played.submitted == [2]
    assert played.cancelled == ["7_0"]
    assert not (tmp_path / submission.FOLDER).exists()


def test_workers_that_are_gone_are_not_waited_for(play: Play) -> None:
    played, news = play({}, jobs("RUNNING"), {}, jobs("COMPLETING"), {}, finish={3: 2})
    assert news == "no job of its workers is in SLURM's queue any more, and nobody is at it: see a.log"
    assert played.submitted == [2]


def test_runs_that_others_are_at_are_waited_for_and_taken_over(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(Store, "holder", lambda *_: SimpleNamespace() if asked[-1] < 6 else None)
    played, news = play(*[{}] * 6, jobs("RUNNING"), finish={8: 4}, asked=asked)
    assert news is None
    assert played.submitted == [2]


def test_a_queue_that_does_not_answer_is_no_empty_one(play: Play, capsys: pytest.CaptureFixture[str]) -> None:
    _, news = play({}, None, None, None, jobs("RUNNING"), finish={4: 4})
    assert news is None
    assert capsys.readouterr().err == "queue: SLURM doesn't answer; the workers go on without it\n"


@pytest.mark.parametrize(
    "reason", ["PartitionTimeLimit", "QOSMaxMemoryPerJob", "AssocMaxWallDurationPerJobLimit"]
)
def test_a_job_that_can_never_start_ends_the_wait(
    reason: str, play: Play, capsys: pytest.CaptureFixture[str]
) -> None:
    played, news = play({}, jobs("PENDING", "PENDING", reason=reason))
    assert f"SLURM can never start job 7_0 ({reason})" in str(news)
    assert played.cancelled == ["7_0", "7_1"]
    assert f"queue: 0 running, 2 waiting ({reason})" in capsys.readouterr().err


def test_a_job_that_may_start_is_waited_for(play: Play, capsys: pytest.CaptureFixture[str]) -> None:
    waiting = jobs("PENDING", "PENDING", reason="Resources")
    _, news = play({}, waiting, waiting, jobs("RUNNING", "RUNNING"), finish={3: 4})
    assert news is None
    assert capsys.readouterr().err.count("Resources") == 1


def test_a_worker_that_is_queued_again_starts_at_once(play: Play) -> None:
    played, _ = play({}, jobs("PENDING", reason="BeginTime"), jobs("RUNNING"), finish={2: 4})
    assert played.hastened == ["7_0"]


def leave_behind(store: Path, *jobs: str) -> submission.Submission:
    """What a command leaves that was killed."""
    earlier = submission.Submission(store / submission.FOLDER / "earlier", frozenset(RUNS))
    earlier.directory.mkdir(parents=True)
    earlier.add(jobs)
    return earlier


def test_workers_of_an_earlier_start_are_joined(
    play: Play, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_behind(tmp_path, "7_0", "7_1")
    played, news = play(jobs("RUNNING", "PENDING"), jobs("RUNNING", "PENDING"), finish={1: 4})
    assert (news, played.submitted) == (None, [])
    assert played.cancelled == ["7_1"], "nobody else looks after it"
    assert "joining the workers of an earlier start: job 7_0, job 7_1" in capsys.readouterr().err
    assert not (tmp_path / submission.FOLDER).exists()


def test_as_many_are_added_as_are_missing(play: Play, tmp_path: Path) -> None:
    leave_behind(tmp_path, "7_0")
    played, _ = play(jobs("RUNNING"), jobs("RUNNING", "RUNNING"), finish={1: 4})
    assert played.submitted == [1]


def test_a_request_to_stop_takes_workers_along_that_nobody_else_has(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = leave_behind(tmp_path, "7_0", "7_1")
    with interruption.listening():
        monkeypatch.setattr(Store, "holder", lambda *_: Path(os.environ[interruption.STOP]).touch())
        with pytest.raises(interruption.Interrupted):
            play(jobs("RUNNING", "PENDING"), jobs("RUNNING", "PENDING"), jobs("RUNNING"), {})
        assert interruption.requested()
    assert not earlier.directory.exists(), "its workers have stopped"


def test_a_command_that_is_stopped_at_once_stops_the_workers_of_an_earlier_start(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = leave_behind(tmp_path, "7_0", "7_1")
    with interruption.listening():
        Path(os.environ[interruption.STOP]).touch()
        with pytest.raises(interruption.Interrupted):
            play(jobs("RUNNING", "RUNNING"), jobs("RUNNING", "RUNNING"), {})
    assert not earlier.directory.exists()


def test_workers_of_a_command_that_lives_are_left_to_it(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = leave_behind(tmp_path, "7_0", "7_1")
    with monkeypatch.context() as patch:
        patch.setattr("harness.store.lease.os.getpid", lambda: 1)
        patch.setattr("harness.store.lease._born", lambda pid: "then")
        Lease(earlier.directory)
    with interruption.listening():
        monkeypatch.setattr(Store, "holder", lambda *_: Path(os.environ[interruption.STOP]).touch())
        monkeypatch.setattr("harness.store.lease._born", lambda pid: "then")
        with pytest.raises(interruption.Interrupted):
            play(jobs("RUNNING", "RUNNING"))
    assert not earlier.stop.exists()
    assert earlier.directory.exists()


@pytest.mark.parametrize(
    ("queue", "said"),
    [(None, "can't be asked; what is left there: scancel 7_0 7_1"), (jobs("RUNNING"), "queue: scancel 7_0")],
)
def test_what_is_left_in_the_queue_is_said(
    queue: Queue, said: str, play: Play, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first Ctrl-C comes when the jobs are submitted, the second while they come to their stops."""

    def submit(self: Played, launcher: object, overrides: object, stop: Path) -> tuple[list[str], str]:
        stop.touch()
        return ["7_0", "7_1"], "a.log"

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Played, "submit", submit)
    monkeypatch.setattr("time.sleep", interrupt)
    with interruption.listening(), pytest.raises((interruption.Interrupted, KeyboardInterrupt)):
        play({}, queue)
    assert said in capsys.readouterr().err
