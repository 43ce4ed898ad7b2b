"""What the launching process makes of workers that do nothing."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from harness.cells import launch
from harness.config import compose
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


def test_what_waits_for_a_generator_comes_last() -> None:
    """One job of each generator first, then all that need none."""
    small, trained = ("prior=wgan_gp_small", "attack=ggl"), ("training.steps=5", "model.fresh=false")
    cells = {
        "plain": compose("attack=dlg"),
        "ggl": compose(*small),
        "ggl, noise": compose(*small, "defense=noise"),
        "other generator": compose(*small, "prior.steps=7"),
        "trained model": compose("attack=dlg", *trained),
        "the same model": compose("attack=idlg", *trained),
    }
    names = {cell.id: name for name, cell in cells.items()}
    turns = launch.in_turn([(cell,) for cell in cells.values()])
    assert [names[job[0].id] for job in turns] == [
        *("ggl", "other generator", "trained model"),
        "plain",
        *("ggl, noise", "the same model"),
    ]
