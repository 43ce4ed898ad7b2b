"""TensorBoard event files: `tensorboard --logdir <runs>/tensorboard`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from harness.base.rows import Row
from harness.core import Record, component
from harness.loggers.logger import Logger, RunInfo, Session, curve, scores
from harness.store.frames import flatten
from harness.store.records import Trace

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@component
class TensorBoard(Logger):
    """Write events to `<runs>/tensorboard/<group>/<job type>/<name>-<id>`; its HPARAMS tab compares the runs."""

    @override
    def open(self, run: RunInfo) -> Session:
        from torch.utils.tensorboard import SummaryWriter

        name = f"{run.name}-{run.id}" if run.name else run.id
        parts = (part.replace("/", "-") for part in (run.group, run.job_type, name) if part)
        return TensorBoardSession(SummaryWriter(str(run.runs.joinpath("tensorboard", *parts))), run.config)


class TensorBoardSession(Session):
    """Scores by the image's number, losses by evaluation, one curve per problem."""

    def __init__(self, writer: "SummaryWriter", config: dict[str, Any]) -> None:
        self.writer = writer
        self.config = config

    @override
    def image(self, problem: int, rows: list[Row], trace: Trace) -> None:
        for place, row in enumerate(rows):
            for name, value in scores(row).items():
                self.writer.add_scalar(f"image/{name}", value, problem * len(rows) + place)
        for evaluation, values in curve(trace):
            for name, value in values.items():
                self.writer.add_scalar(f"{name}/{problem}", value, evaluation)
        self.writer.flush()

    @override
    def finish(self, record: Record, gallery: Path | None) -> None:
        if gallery is not None:
            self.writer.add_image("gallery", _pixels(gallery), dataformats="HWC")
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


def _pixels(picture: Path) -> Any:
    import numpy
    from PIL import Image

    return numpy.asarray(Image.open(picture).convert("RGB"))
