"""What is logged can be read back, a crash or a kill leaves a readable log, and no server is no trouble."""

import csv
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import hydra
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from harness.core import Record
from harness.loggers.csv import Csv
from harness.loggers.logger import Logger, NoLogger, RunInfo, Session, curve, scores
from harness.loggers.tensorboard import TensorBoard
from harness.loggers.wandb import Wandb
from harness.loggers.wandb_server import server_of
from harness.loggers.wandb_session import WandbSession
from harness.store.records import summarise

CONF = Path(__file__).parents[2] / "conf" / "logger"
KEY = "0123456789abcdef" * 3
ROWS = [
    {
        "problem": problem,
        "image": 0,
        "target": 100 + problem,
        "label": 3,
        "psnr_unit": 20.0 + problem,
        "lpips_vgg": None,
        "status": "budget",
        "success": problem == 1,
    }
    for problem in range(3)
]
TRACE = [{"evaluation": float(k), "loss": 2.0**-k} for k in range(0, 50, 10)]


@pytest.fixture
def run(tmp_path: Path) -> RunInfo:
    directory = tmp_path / "runs" / "abc123"
    directory.mkdir(parents=True)
    config = {
        "attack": {"_target_": "harness.attacks.dlg.DLG", "steps": 300},
        "targets": None,
        "sizes": [1, 2],
    }
    return RunInfo(
        "abc123",
        directory,
        config,
        group="table3",
        job_type="DLG",
        name="DLG/none",
        tags=("small", "x" * 70, ""),
    )


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """W&B without what the user's machine knows: no key, no server, nothing that an earlier test set."""
    import wandb

    wandb.teardown()  # first, for it takes its service out of the environment
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    for place in ("CONFIG", "CACHE", "DATA"):
        monkeypatch.setenv(f"WANDB_{place}_DIR", str(tmp_path / "home"))
    server_of.cache_clear()
    return monkeypatch


def record(run: RunInfo, rows: list[dict[str, Any]] = ROWS) -> Record:
    return Record(run.id, run.config, rows, summarise(rows), {"git": "deadbeef"})


def carry_out(logger: Logger, run: RunInfo) -> None:
    gallery = run.directory / "gallery.png"
    Image.new("RGB", (8, 4), (255, 0, 0)).save(gallery)
    with logger.open(run) as session:
        for row in ROWS:
            session.image(row["problem"], [row], TRACE)
        session.finish(record(run), gallery)


def inspect(path: Path, *options: str) -> str:
    command = [str(Path(sys.executable).with_name("wandb")), "leet", "inspect", "--json", *options, str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def records_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in inspect(folder).splitlines()]


def history_of(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry["history"]["item"] for entry in records if entry["type"] == "history"]


def folders(run: RunInfo) -> list[Path]:
    return sorted((run.runs / "wandb").glob("offline-run-*"))


@given(st.lists(st.floats(0, 1), max_size=300), st.integers(2, 50))
def test_a_thinned_curve_keeps_its_ends_and_its_order(losses: list[float], points: int) -> None:
    whole = curve([{"evaluation": 3.0 * k, "loss": loss} for k, loss in enumerate(losses)])
    thin = curve([{"evaluation": 3.0 * k, "loss": loss} for k, loss in enumerate(losses)], points)
    assert len(thin) == min(points, len(losses))
    assert thin[:1] == whole[:1]
    assert thin[-1:] == whole[-1:]
    places = [evaluation for evaluation, _ in thin]
    assert places == sorted(set(places))
    assert all(point in whole for point in thin)


def test_a_point_without_evaluation_stands_at_its_place() -> None:
    assert curve([{"loss": 2.0}, {"loss": 1.0}]) == [(0, {"loss": 2.0}), (1, {"loss": 1.0})]


def test_scores_are_the_measured_numbers_alone() -> None:
    assert scores(ROWS[1]) == {"psnr_unit": 21.0, "success": 1.0}


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_logger_keeps_stdout_for_the_result(
    path: Path, run: RunInfo, environment: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    logger = hydra.utils.instantiate(yaml.safe_load(path.read_text()), _convert_="all")
    assert isinstance(logger, Logger)
    carry_out(logger, run)
    with pytest.raises(ZeroDivisionError), logger.open(run):
        1 / 0  # noqa: B018
    assert capfd.readouterr().out == ""


def test_a_crash_fails_the_session_with_its_reason(run: RunInfo) -> None:
    class Recorder(Session):
        message = ""

        def fail(self, message: str) -> None:
            self.message = message

    session = Recorder()
    with pytest.raises(KeyboardInterrupt), session:
        raise KeyboardInterrupt("stop")
    assert session.message == "KeyboardInterrupt: stop"


def test_no_logger_writes_nothing(run: RunInfo) -> None:
    carry_out(NoLogger(), run)
    assert [path.name for path in run.directory.iterdir()] == ["gallery.png"]


def test_csv_writes_rows_curves_and_summary_again_and_again(run: RunInfo) -> None:
    for _ in range(2):
        carry_out(Csv(), run)
    with (run.directory / "images.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["psnr_unit"] for row in rows] == ["20.0", "21.0", "22.0"]
    assert {row["lpips_vgg"] for row in rows} == {""}
    with (run.directory / "curves" / "0002.csv").open() as file:
        points = list(csv.DictReader(file))
    assert [(float(p["evaluation"]), float(p["loss"])) for p in points] == [tuple(p.values()) for p in TRACE]
    summary = dict(line.split(",", 1) for line in (run.directory / "summary.csv").read_text().splitlines())
    assert float(summary["psnr_unit.mean"]) == 21.0


def test_tensorboard_holds_scores_curves_summary_and_picture(run: RunInfo) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    carry_out(TensorBoard(), run)
    events = EventAccumulator(str(run.runs / "tensorboard" / "table3" / "DLG" / "DLG-none-abc123"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("image/psnr_unit")] == [(0, 20.0), (1, 21.0), (2, 22.0)]
    assert [(e.step, e.value) for e in events.Scalars("loss/2")] == [(k, 2.0**-k) for k in range(0, 50, 10)]
    assert events.Scalars("summary/psnr_unit.mean")[0].value == 21.0
    assert events.Tags()["images"] == ["gallery"]


def test_wandb_offline_can_be_read_back(
    run: RunInfo, environment: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("WANDB_MODE", "disabled")
    environment.setenv("WANDB_API_KEY", KEY)
    carry_out(Wandb(curves=2, points=3), run)
    printed = capfd.readouterr()
    assert printed.out + printed.err == ""

    (folder,) = folders(run)
    found = json.loads(inspect(folder, "--summary"))
    assert (found["state"], found["run_id"], found["name"]) == ("finished", "abc123", "DLG/none")
    assert found["tags"] == ["small", "x" * 64], "as long as W&B allows"
    assert found["config"] == {**run.config, "provenance": {"git": "deadbeef"}}
    assert found["summary"]["psnr_unit"]["mean"] == 21.0

    records = records_of(folder)
    history = history_of(records)
    scored = [
        (h["step/image"], h["image/psnr_unit"], h["image/success"]) for h in history if "step/image" in h
    ]
    assert scored == [(0, 20.0, 0), (1, 21.0, 1), (2, 22.0, 0)]
    assert [(h["step/evaluation"], h["loss/1"]) for h in history if "loss/1" in h] == [
        (k, 2.0**-k) for k in (0, 20, 40)
    ]
    assert not any("loss/2" in h for h in history)
    assert "group" in str(records[1]["run"])

    (table,) = folder.glob("files/media/table/images*.table.json")
    assert json.loads(table.read_text()) | {"data": 0} == {"columns": list(ROWS[0]), "data": 0}
    assert json.loads(table.read_text())["data"] == [list(row.values()) for row in ROWS]
    assert list(folder.glob("files/media/images/gallery*.png"))
    assert not any(KEY.encode() in path.read_bytes() for path in run.runs.rglob("*") if path.is_file())


def test_wandb_marks_a_crash_as_failed(run: RunInfo, environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError), Wandb().open(run):
        1 / 0  # noqa: B018
    found = json.loads(inspect(folders(run)[0], "--summary"))
    assert found["exit_code"] == 1
    assert found["summary"]["error"] == "ZeroDivisionError: division by zero"


def test_wandb_disabled_leaves_nothing(run: RunInfo) -> None:
    carry_out(Wandb(mode="disabled"), run)
    assert not (run.runs / "wandb").exists()


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({}, "no API key"),
        ({"WANDB_API_KEY": "short"}, "WANDB_API_KEY invalid"),
        (
            {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": "http://127.0.0.1:9"},
            "http://127.0.0.1:9 does not answer",
        ),
    ],
)
def test_online_without_key_or_server_is_offline_with_one_warning(
    run: RunInfo,
    environment: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    variables: dict[str, str],
    reason: str,
) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)
    started = time.monotonic()
    for identity in ("first", "second"):
        directory = run.runs / identity
        directory.mkdir()
        carry_out(Wandb(mode="online", patience=1), RunInfo(identity, directory, run.config))
    assert time.monotonic() - started < 10
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith(f"warning: {reason}")
    assert "W&B logs offline" in printed.err
    first, second = folders(run)
    assert (first.name[-5:], second.name[-6:]) == ("first", "second")
    found = json.loads(inspect(second, "--summary"))
    assert (found["state"], found["summary"]["psnr_unit"]["n"]) == ("finished", 3)


def test_a_failing_service_costs_one_warning_and_not_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    lost = ConnectionResetError("Connection lost")
    service = Mock(id="abc123", log=Mock(side_effect=lost), finish=Mock(side_effect=lost))
    session = WandbSession(service, curves=1, points=2, every=0)
    session.image(0, ROWS[:1], TRACE)
    session.image(1, ROWS[1:2], TRACE)
    session.fail("another reason")
    assert capsys.readouterr().err.count("warning: W&B failed (Connection lost)") == 1


def test_a_killed_run_is_readable_and_goes_on_under_the_same_id(
    run: RunInfo, environment: pytest.MonkeyPatch
) -> None:
    script = f"""
        import time
        from pathlib import Path
        from harness.loggers.logger import RunInfo
        from harness.loggers.wandb import Wandb
        session = Wandb().open(RunInfo("abc123", Path({str(run.directory)!r}), {{"seed": 1}}))
        session.image(0, [{ROWS[0]!r}], {TRACE!r})
        print("logged", flush=True)
        time.sleep(100)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "logged\n"
    limit = time.monotonic() + 10
    while len(history_of(records_of(folders(run)[0]))) < 1 + len(TRACE):
        assert time.monotonic() < limit, "what was logged is not on disk"
        time.sleep(0.5)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    with Wandb().open(run) as session:
        session.image(1, ROWS[1:2], TRACE)
        session.finish(record(run), None)
    killed, finished = (records_of(folder) for folder in folders(run))
    for records in (killed, finished):
        (started,) = (entry["run"] for entry in records if entry["type"] == "run")
        assert (started["run_id"], started["resume"]) == ("abc123", True)
    assert [records[-1]["type"] for records in (killed, finished)] == ["history", "exit"]


def test_what_a_session_forgets_is_logged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was interrupted: a session that forgets is told of the images that were finished before."""
    from harness.config.composition import compose
    from harness.runs.run import run

    told: list[list[int]] = []

    class Forgetful(Session):
        forgets = True

        def __init__(self) -> None:
            told.append([])

        def image(self, problem: int, rows: object, trace: object) -> None:
            told[-1].append(problem)
            if len(told) == 1 and problem == 1:
                raise KeyboardInterrupt

    def opened(self: NoLogger, info: RunInfo) -> Session:
        return Forgetful()

    monkeypatch.setattr(NoLogger, "open", opened)
    given = ("logger=none", "attack.steps=1", "attack.slots=1", "trials=3", f"paths.runs={tmp_path}")
    with pytest.raises(KeyboardInterrupt):
        run(compose(*given))
    run(compose(*given))
    assert told[0] == [0, 1]
    assert told[1] == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WANDB_MODE", "offlin"),
        ("WANDB_BASE_URL", "localhost:8080"),
        ("WANDB_RESUME", "yes"),
        ("WANDB_RUN_ID", "a/b"),
    ],
)
def test_what_wandb_refuses_is_one_line(name: str, value: str, tmp_path: Path) -> None:
    """In a process of its own, for W&B reads its variables once."""
    code = "from pathlib import Path\nfrom harness.core import UserError\nfrom harness.loggers.wandb import Wandb\n"
    code += "from harness.loggers.logger import RunInfo\n"
    code += (
        "try: Wandb().open(RunInfo(id='x', directory=Path('runs/x'), config={}, group=None, job_type=None, "
    )
    code += "name=None, tags=()))\nexcept UserError as error: print(len(str(error).splitlines()), error)\n"
    environment = {**os.environ, name: value}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "" or done.stdout.startswith("1 logger=wandb: ")
    assert "Traceback" not in done.stderr


def test_a_project_has_no_slash() -> None:
    from harness.config.composition import compose
    from harness.core import UserError

    with pytest.raises(UserError, match=r"logger\.project"):
        compose("logger.project=org/proj")
