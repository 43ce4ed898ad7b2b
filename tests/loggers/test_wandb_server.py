"""A W&B server that dies in the middle of a run: the run goes on, and what the server has not got can be sent later."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from harness.commands.dashboards.sync import find
from harness.loggers import wandb as weights_and_biases
from harness.loggers.logger import RunInfo
from harness.loggers.wandb_server import Server
from harness.loggers.wandb_session import WandbSession
from harness.store.records import Store
from tests.command import Main
from tests.command import main as main
from tests.loggers.test_logger import ROWS, TRACE, history_of, record, records_of
from tests.loggers.test_logger import environment as environment
from tests.loggers.test_logger import run as run

VIEWER = {"id": "1", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}
PROJECT = {"name": "harness", "entity": {"name": "me"}}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What W&B needs to begin a run."""
    bucket = {"id": "1", "name": (request.get("variables") or {}).get("name"), "project": PROJECT}
    return {"data": {"viewer": VIEWER, "model": None, "upsertBucket": {"bucket": bucket, "inserted": True}}}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        request = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = json.dumps(answer(json.loads(request)) if self.path == "/graphql" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""


@pytest.fixture
def server(environment: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """A server that a run can be sent to."""
    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    environment.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{found.server_port}")
    environment.setenv("WANDB_API_KEY", "0123456789" * 4)
    yield found
    stop(found)


def stop(server: ThreadingHTTPServer) -> None:
    server.shutdown()
    server.server_close()


def test_a_server_that_dies_costs_one_warning_and_nothing_else(
    server: ThreadingHTTPServer,
    main: Main,
    environment: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    image, modes = WandbSession.image, []  # type: ignore[var-annotated]

    def then_die(self: WandbSession, problem: int, *arguments: Any) -> None:
        image(self, problem, *arguments)
        if not modes:
            stop(server)
        modes.append(self.run.settings.mode)

    environment.setattr(WandbSession, "image", then_die)
    environment.setattr(weights_and_biases, "UPLOAD_SECONDS", 1)
    quick = ("dataset=digits32", "attack=dlg", "attack.steps=2", "trials=3")
    logged = ("logger=wandb", "logger.mode=online", "logger.patience=4")
    assert [main(*quick, *logged, f"seed={seed}") for seed in (0, 1)] == [0, 0]
    assert modes == ["online"] * 3 + ["offline"] * 3

    printed = capfd.readouterr()
    first, second = (Path(line).name for line in printed.out.splitlines())
    (warning,) = [line for line in printed.err.splitlines() if "W&B" in line]
    assert warning.startswith(f"warning: W&B's server went away during run {first}: W&B logs offline in ")
    stored = Store(tmp_path / "runs")
    for identity in (first, second):
        found = stored.load(identity)
        assert found is not None
        assert [row["problem"] for row in found.rows] == [0, 1, 2]

    logs = find(tmp_path / "runs")
    assert (logs.sent, logs.unfinished) == ([], [])
    assert [folder.name.partition("-")[0] for folder in logs.ready] == ["run", "offline"]
    assert [folder.name.rpartition("-")[2] for folder in logs.ready] == [first, second]
    for folder in logs.ready:
        log = records_of(folder)
        history = history_of(log)
        assert [item["step/image"] for item in history if "step/image" in item] == [0, 1, 2]
        assert {"images", "gallery"} <= {name.split(".")[0] for item in history for name in item}
        assert list(folder.glob("files/media/table/images*.table.json"))
        assert any("provenance" in entry["config"]["update"] for entry in log if entry["type"] == "config")
        assert log[-1]["type"] == "exit"


@pytest.mark.parametrize("arrived", [True, False])
def test_a_log_that_arrived_is_marked(
    arrived: bool, run: RunInfo, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run.runs / "wandb" / "run-20260101_000000-abc123"
    (folder / "files").mkdir(parents=True)
    service = Mock(id="abc123", config={}, dir=str(folder / "files"))
    service.finish.side_effect = None if arrived else TimeoutError
    environment.setattr(Server, "answers", lambda self: True)
    server = Server(1)
    session = WandbSession(service, curves=1, points=2, every=0, server=server)
    session.image(0, ROWS[:1], TRACE)
    session.finish(record(run), None)
    (run.directory / "result.json").touch()
    logs = find(run.runs)
    assert (logs.sent, logs.ready) == (([folder], []) if arrived else ([], [folder]))
    assert (server.obstacle is None) == arrived
    assert capsys.readouterr().err.count("warning: W&B's server went away") == (not arrived)
