"""Several loggers at once: each is told all, by its own settings, and none is dropped."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from harness.base.several import spelt_out
from harness.config.composition import compose
from harness.core import Record, UserError, component
from harness.loggers.csv import Csv
from harness.loggers.logger import Logger, News, NoLogger, RunInfo, Session, warn_unlogged
from harness.loggers.several import Several, SeveralSessions
from harness.loggers.tensorboard import TensorBoard
from tests.command import Main
from tests.command import main as main

QUICK = ("attack=ig", "attack.steps=2", "model=mlp", "model.hidden=8", "trials=1", "dataset=digits32")


class Recorder(Session):
    """What it is told, in order."""

    def __init__(self, every: int = 0, first: int = 0, forgets: bool = False) -> None:
        self.every, self.first, self.forgets = every, first, forgets
        self.told: list[str] = []

    def follows(self, problem: int) -> bool:
        return problem >= self.first

    def follow(self, news: News) -> None:
        self.told.append(f"follow {news.series}")

    def image(self, problem: int, rows: object, trace: object) -> None:
        self.told.append(f"image {problem}")

    def picture(self, problem: int, evaluation: int, draw: Callable[[], Image.Image]) -> None:
        self.told.append(f"picture {problem} {draw().width}")

    def finish(self, record: Record, gallery: Path | None) -> None:
        self.told.append("finish")

    def fail(self, message: str) -> None:
        self.told.append(message)


def test_each_session_is_told_what_it_follows() -> None:
    sessions = [Recorder(every=50), Recorder(every=0, first=1)]
    both = SeveralSessions(sessions)
    assert (both.every, both.follows(0), both.follows(1)) == (50, True, True)
    both.follow(News(0, None, 0, 0.0, dict))
    both.image(0, [], [])
    both.picture(0, 1, lambda: Image.new("RGB", (3, 3)))
    both.finish(Record("x", {}, [], {}, {}), None)
    both.fail("why")
    assert sessions[0].told == ["follow 0", "image 0", "picture 0 3", "finish", "why"]
    assert sessions[1].told == ["image 0", "picture 0 3", "finish", "why"]


def test_those_that_forget_are_told_again_and_no_others() -> None:
    sessions = [Recorder(), Recorder(forgets=True)]
    SeveralSessions(sessions).forgetful().image(3, [], [])
    assert [session.told for session in sessions] == [[], ["image 3"]]


def test_where_the_second_can_t_be_opened_the_first_is_closed_as_failed(tmp_path: Path) -> None:
    first = Recorder()

    @component
    class Opens(Logger):
        def open(self, run: RunInfo) -> Session:
            return first

    @component
    class Refuses(Logger):
        def open(self, run: RunInfo) -> Session:
            raise UserError("no server")

    with pytest.raises(UserError):
        Several(loggers={"one": Opens(), "two": Refuses()}).open(RunInfo("x", tmp_path, {}))
    assert first.told == ["UserError: no server"]


def test_a_list_is_a_logger_that_has_them_all() -> None:
    logger = compose(*QUICK, "logger=[csv, tensorboard]", "logger.loggers.csv.every=7").logger
    assert isinstance(logger, Several)
    assert [type(each) for each in logger.loggers.values()] == [Csv, TensorBoard]
    assert logger.names == ("Csv", "TensorBoard")
    assert isinstance(logger.loggers["csv"], Csv)
    assert logger.loggers["csv"].every == 7
    one, none = compose(*QUICK, "logger=[csv]"), compose(*QUICK, "logger=none")
    assert isinstance(one.logger, Csv)
    assert one.id == none.id == compose(*QUICK, "logger=[csv,tensorboard]").id


@given(st.lists(st.sampled_from(["attack=ig,dlg", "logger=none", "-m", "label.tags=[a,b]", "seed=1"])))
def test_what_names_no_several_loggers_stays_as_it_is(arguments: list[str]) -> None:
    assert spelt_out(arguments) == arguments


def test_a_logger_twice_is_one() -> None:
    assert spelt_out(["logger=csv,csv"]) == ["logger=several", "+logger@logger.loggers.csv=csv"]


def test_a_multirun_over_loggers_logs_to_both(main: Main, tmp_path: Path) -> None:
    assert main("-m", *QUICK, "logger=csv,tensorboard", "seed=0,1") == 0
    assert len(list(tmp_path.glob("runs/*/images.csv"))) == 2
    assert len({path.parent for path in tmp_path.glob("runs/tensorboard/**/events*")}) == 2


def test_a_logger_that_is_not_there_is_named(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(*QUICK, "logger=[csv,tensorbord]") == 2
    assert "there is no such logger; did you mean 'tensorboard'?" in capsys.readouterr().err


def test_what_is_new_among_several_is_said_of_finished_runs(capsys: pytest.CaptureFixture[str]) -> None:
    both = Several(loggers={"csv": Csv(), "tensorboard": TensorBoard(), "none": NoLogger()})
    warn_unlogged([(Record("abc", {}, [], {}, {"logger": "Csv"}), both)])
    assert "warning: TensorBoard was chosen after 1 of the runs" in capsys.readouterr().err
    warn_unlogged([(Record("abc", {}, [], {}, {"logger": "TensorBoard, Csv"}), both)])
    assert capsys.readouterr().err == ""
