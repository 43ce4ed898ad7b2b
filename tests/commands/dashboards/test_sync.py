"""Finished runs are sent once, unfinished ones wait, and what hinders it is said in one line."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.commands.dashboards import sync
from harness.commands.dashboards.sync import find, main
from harness.loggers import wandb_server


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Run `a` was finished in two processes, `b` is at work, `c` was finished and sent; `d` was sent as it went, and
    the server went away from `e`."""
    for name in ("1-b", "2-a", "3-a", "4-c"):
        (tmp_path / "wandb" / f"offline-run-2026010{name}").mkdir(parents=True)
    for name in "de":
        (tmp_path / "wandb" / f"run-20260101-{name}").mkdir()
    (tmp_path / "wandb" / "latest-run").symlink_to("run-20260101-e")
    (tmp_path / "wandb" / "run-20260101-d" / "run-d.wandb.synced").touch()
    for name in "abcde":
        (tmp_path / name).mkdir()
    for name in "acde":
        (tmp_path / name / "result.json").touch()
    (tmp_path / "wandb" / "offline-run-20260104-c" / "run-c.wandb.synced").touch()
    return tmp_path


def mark(folders: Sequence[Path]) -> None:
    """What W&B leaves beside a log that the server has."""
    for folder in folders:
        (folder / f"run-{folder.name[-1]}.wandb.synced").touch()


def names(folders: Sequence[Path]) -> str:
    return " ".join(folder.name.removeprefix("offline-").removeprefix("run-2026010") for folder in folders)


def test_only_logs_of_finished_runs_that_were_not_sent_are_ready(runs: Path) -> None:
    logs = find(runs)
    assert [names(logs.ready), names(logs.sent), names(logs.unfinished)] == ["1-e 2-a 3-a", "1-d 4-c", "1-b"]


def test_a_second_time_there_is_nothing_to_send(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handed: list[str] = []
    monkeypatch.setattr(wandb_server, "obstacle", lambda: None)
    monkeypatch.setattr(sync, "send", lambda folders: (handed.append(names(folders)), mark(folders)))
    assert [main([f"--runs={runs}"]) for _ in range(2)] == [0, 0]
    assert handed == ["1-e 2-a 3-a"]
    first, second = capsys.readouterr().out.splitlines()
    assert first == "sent 3 logs; 2 were sent before, 1 belong to unfinished runs and wait"
    assert second.endswith("wandb: 5 were sent before, 1 belong to unfinished runs and wait")


def test_what_did_not_arrive_is_said(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wandb_server, "obstacle", lambda: None)
    monkeypatch.setattr(sync, "send", lambda folders: mark(folders[:1]))
    assert main([f"--runs={runs}"]) == 2
    assert capsys.readouterr().err == "harness: 2 of 3 logs were not sent: say the same command again\n"


def test_without_a_key_one_line_says_so_and_all_stays(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(runs / "no-netrc"))
    wandb_server.server_of.cache_clear()
    assert main([f"--runs={runs}"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "3 logs are ready and stay in" in error
    assert "no API key" in error
    assert names(find(runs).ready) == "1-e 2-a 3-a"
