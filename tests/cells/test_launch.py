"""What the launching process makes of workers that do nothing."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from harness.cells import launch
from harness.config.experiment import Experiment
from harness.store.records import Store


class Idle:
    """A launcher whose workers end without trying anything: they look into another store."""

    def __init__(self) -> None:
        self.launched = 0

    def launch(self, overrides: Any, initial_job_idx: int) -> list[JobReturn]:
        self.launched += 1
        done = JobReturn()
        done.status, done.return_value = JobStatus.COMPLETED, ()
        return [done]


def runs(*ids: str) -> dict[str, Experiment]:
    return {identity: cast(Experiment, SimpleNamespace(id=identity)) for identity in ids}


def test_workers_that_try_nothing_are_not_launched_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = Idle()
    monkeypatch.setattr(launch, "ended", lambda store, run: False)
    news = launch._work(cast(Launcher, idle), [[]], Store(tmp_path), runs("0123456789ab", "f" * 12))
    assert news is not None
    assert "without trying 2 runs that no process is at, 0123456789ab first" in news
    assert "\n" not in news
    assert idle.launched == launch.IDLE


def test_runs_that_a_process_is_at_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    idle, looks = Idle(), iter(range(100))

    def holder(self: Store, identity: str) -> object:
        return SimpleNamespace() if next(looks) % 2 else None

    monkeypatch.setattr(Store, "holder", holder)
    monkeypatch.setattr(launch, "ended", lambda store, run: idle.launched > launch.IDLE + 2)
    assert launch._work(cast(Launcher, idle), [[]], Store(tmp_path), runs("0123456789ab")) is None
