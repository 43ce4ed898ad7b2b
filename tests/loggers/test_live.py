"""A search is logged while it lasts, its loss, what that is made of, and pictures; no row changes by it."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from harness.config.composition import compose
from harness.core import Record
from harness.loggers.logger import LiveSession, News, NoLogger, RunInfo, Session
from harness.runs.run import run
from harness.store.contents import Trace
from tests.loggers.test_logger import environment, folders, history_of, records_of

__all__ = ["environment"]
CELL = ("attack=ig", "model=mlp", "model.hidden=16", "dataset=digits32", "trials=2")


def carry_out(path: Path, *overrides: str) -> Record:
    return run(compose(*CELL, f"paths.runs={path}", *overrides))


def rows_of(record: Record) -> list[dict[str, object]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in record.rows]


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[News]:
    """What a session hears, that draws every ten steps."""
    news: list[News] = []

    class Listener(LiveSession):
        def follow(self, told: News) -> None:
            assert told.values
            news.append(told)

    def opened(self: NoLogger, info: RunInfo) -> Session:
        return Listener(every=10)

    monkeypatch.setattr(NoLogger, "open", opened)
    return news


def test_a_session_hears_the_loss_and_what_it_is_made_of(tmp_path: Path, heard: list[News]) -> None:
    carry_out(tmp_path, "logger=none", "attack.steps=30", "trials=1")
    assert [told.evaluation for told in heard] == list(range(30))
    assert all(told.values["loss"] > told.values["total_variation"] > 0 for told in heard)
    assert [told.evaluation for told in heard if told.picture] == [0, 10, 20]
    assert all(0 <= told.values["label_accuracy"] <= 1 for told in heard if told.picture)
    assert {told.series for told in heard} == {"0"}


def test_attempts_have_curves_of_their_own(tmp_path: Path, heard: list[News]) -> None:
    carry_out(tmp_path, "logger=none", "attack.steps=3", "attack.restarts=2")
    assert {told.series for told in heard} == {"0.0", "0.1", "1.0", "1.1"}


def test_who_does_not_follow_hears_nothing(
    tmp_path: Path, heard: list[News], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LiveSession, "follows", lambda _, problem: problem == 1)
    carry_out(tmp_path, "logger=none", "attack.steps=3")
    assert {told.problem for told in heard} == {1}


def test_what_was_heard_is_not_logged_twice() -> None:
    session, trace = LiveSession(every=0), [{"evaluation": float(k), "loss": 1.0} for k in range(0, 50, 10)]
    assert [place for place, _ in session.rest(3, trace)] == [0, 10, 20, 30, 40]
    session.heard["3"] = 20
    assert [place for place, _ in session.rest(3, trace)] == [30, 40]


def test_csv_is_written_while_a_search_lasts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.loggers.csv.SECONDS", 0.0)
    before: list[tuple[int, bool]] = []

    def spy(self: object, problem: int, rows: object, trace: Trace) -> None:
        (curves,) = tmp_path.glob("*/curves")
        before.append((len((curves / "0000.csv").read_text().splitlines()), (curves / "0000.png").exists()))
        original(self, problem, rows, trace)  # type: ignore[arg-type]

    from harness.loggers.csv import CsvSession

    original = CsvSession.image
    monkeypatch.setattr(CsvSession, "image", spy)
    record = carry_out(tmp_path, "logger=csv", "attack.steps=40", "trials=1")
    assert before == [(41, True)]
    with next(tmp_path.glob("*/curves/0000.csv")).open() as file:
        points = list(csv.DictReader(file))
    assert [int(point["evaluation"]) for point in points] == list(range(40))
    assert float(points[-1]["loss"]) >= float(points[-1]["total_variation"]) > 0
    assert points[0]["label_accuracy"] in ("0.0", "1.0")
    picture = Image.open(next(tmp_path.glob("*/curves/0000.png")))
    assert picture.height > picture.width, "truth above reconstruction"
    assert record.rows


def test_tensorboard_and_csv_change_no_row(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = [
        carry_out(tmp_path / name, f"logger={name}", "attack.steps=40", "attack.restarts=2")
        for name in ("none", "csv", "tensorboard")
    ]
    assert rows_of(found[0]) == rows_of(found[1]) == rows_of(found[2])
    assert len({record.id for record in found}) == 1
    curves = {path.name for path in (tmp_path / "csv").glob("*/curves/*.csv")}
    assert curves == {f"{name}.csv" for name in ("0000", "0000.0", "0000.1", "0001", "0001.0", "0001.1")}
    place = tmp_path / "tensorboard" / "tensorboard" / "digits32" / "ig"
    events = EventAccumulator(str(next(place.iterdir())))
    events.Reload()
    assert len(events.Scalars("loss/1.1")) == 40
    assert {"reconstruction/0", "reconstruction/0.1"} <= set(events.Tags()["images"])


def test_wandb_has_the_course_of_a_search_and_its_pictures(
    tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    """Thirty points of 300 steps at least, and three pictures."""
    logged = carry_out(tmp_path, "logger=wandb", "attack.steps=300", "logger.points=40", "logger.curves=1")
    alone = carry_out(tmp_path / "alone", "logger=none", "attack.steps=300")
    assert rows_of(logged) == rows_of(alone)
    (folder,) = folders(RunInfo("x", tmp_path / "x", {}))
    history = history_of(records_of(folder))
    curve = [(entry["step/evaluation"], entry["loss/0"]) for entry in history if "loss/0" in entry]
    assert 30 <= len(curve) <= 42
    assert [place for place, _ in curve] == sorted({place for place, _ in curve})
    assert sum("total_variation/0" in entry for entry in history) >= 30
    pictures = list((folder / "files" / "media" / "images").rglob("0_*.png"))
    assert len(pictures) == 4, "every hundred steps, and the end"
    assert not any("loss/1" in entry for entry in history)


def test_wandb_names_a_run_as_people_do_and_keeps_what_it_ran_on(
    tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    record = carry_out(tmp_path, "logger=wandb", "attack.steps=2", "trials=1")
    (folder,) = folders(RunInfo("x", tmp_path / "x", {}))
    records = records_of(folder)
    (started,) = (entry["run"] for entry in records if entry["type"] == "run")
    assert started["display_name"] == "ig x none x digits32, seed 0"
    assert (started["run_group"], started["job_type"]) == ("digits32", "ig")
    assert started["run_id"] == record.id
    assert "torch==" in (folder / "files" / "requirements.txt").read_text()
    assert not list(folder.rglob("*.patch"))
    assert not any("reconstructions" in str(entry) for entry in records if entry["type"] == "artifact")


def test_wandb_has_a_table_with_pictures_and_the_reconstructions_when_asked(
    tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    environment.delenv("WANDB_DATA_DIR")
    given = ("attack.steps=2", "logger.curves=1", "logger.artifacts=true")
    record = carry_out(tmp_path, "logger=wandb", *given)
    (folder,) = folders(RunInfo("x", tmp_path / "x", {}))
    artifacts = {
        entry["artifact"]["type"]: {
            part["path"]: Path(part["local_path"]) for part in entry["artifact"]["manifest"]["contents"]
        }
        for entry in records_of(folder)
        if entry["type"] == "artifact"
    }
    assert {path.parent for parts in artifacts.values() for path in parts.values()} == {
        tmp_path / "wandb" / "artifacts" / "staging"
    }, "beside the logs, until they are sent"

    table = json.loads(artifacts["run_table"]["images.table.json"].read_text())
    assert table["columns"] == ["picture", *record.rows[0]]
    first, second = (row[0] for row in table["data"])
    with Image.open(artifacts["run_table"][first["path"]]) as picture:
        assert picture.height > 2 * 60, "truth above reconstruction"
    assert second is None, "the first so many are followed"

    (copy,) = artifacts["reconstructions"].values()
    stored = tmp_path / record.id / "reconstructions.safetensors"
    assert copy.read_bytes() == stored.read_bytes()
