"""TensorBoard event files: `tensorboard --logdir <runs>/tensorboard`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL.Image import Image
from PIL.Image import open as open_image
from typing_extensions import override

from harness.base.rows import Row
from harness.core import Record, component
from harness.loggers.logger import LiveLogger, LiveSession, News, RunInfo, Session, scores
from harness.store.frames import flatten
from harness.store.records import Trace

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@component
class TensorBoard(LiveLogger):
    """Write events to `<runs>/tensorboard/<group>/<job type>/<name>-<id>`; its HPARAMS tab compares the runs."""

    @override
    def open(self, run: RunInfo) -> Session:
        from torch.utils.tensorboard import SummaryWriter

        name = f"{run.name}-{run.id}" if run.name else run.id
        parts = (part.replace("/", "-") for part in (run.group, run.job_type, name) if part)
        writer = SummaryWriter(str(run.runs.joinpath("tensorboard", *parts)))
        return TensorBoardSession(writer, run.config, self.every)


class TensorBoardSession(LiveSession):
    """Scores by the image's number, losses and pictures by evaluation, one curve per problem."""

    def __init__(self, writer: "SummaryWriter", config: dict[str, Any], every: int) -> None:
        super().__init__(every)
        self.writer = writer
        self.config = config

    @override
    def follow(self, news: News) -> None:
        self._point(news.series, news.evaluation, news.values)
        self.heard[news.series] = news.evaluation
        if news.picture is not None:
            self._picture(news.series, news.evaluation, news.picture)

    def _point(self, series: str, evaluation: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(f"{name}/{series}", value, evaluation)

    def _picture(self, series: str, evaluation: int, picture: Image) -> None:
        self.writer.add_image(f"reconstruction/{series}", _pixels(picture), evaluation, dataformats="HWC")

    @override
    def picture(self, problem: int, evaluation: int, draw: Callable[[], Image]) -> None:
        self._picture(str(problem), evaluation, draw())

    @override
    def image(self, problem: int, rows: list[Row], trace: Trace) -> None:
        for place, row in enumerate(rows):
            for name, value in scores(row).items():
                self.writer.add_scalar(f"image/{name}", value, problem * len(rows) + place)
        for evaluation, values in self.rest(problem, trace):
            self._point(str(problem), evaluation, values)
        self.writer.flush()

    @override
    def finish(self, record: Record, gallery: Path | None) -> None:
        if gallery is not None:
            self.writer.add_image("gallery", _pixels(open_image(gallery)), dataformats="HWC")
        hyperparameters = {
            name: value if isinstance(value, bool | int | float | str) else str(value)
            for name, value in flatten(self.config).items()
        }
        summary = {f"summary/{name}": value for name, value in scores(flatten(record.summary)).items()}
        self.writer.add_hparams(hyperparameters, summary, run_name=".")
        self.writer.close()

    @override
    def fail(self, message: str) -> None:
        self.writer.add_text("error", message)
        self.writer.close()


def _pixels(picture: Image) -> Any:
    import numpy

    return numpy.asarray(picture.convert("RGB"))
