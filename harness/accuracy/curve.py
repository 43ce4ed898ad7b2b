"""One network's accuracy after each round, measured once and kept."""

from harness.simulation.simulation import Checkpoint, Simulation  # before pytorch_lightning  # isort: skip

import csv
import io
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from harness.base import interruption
from harness.base.files import to_json, write_atomically
from harness.config.experiment import Experiment
from harness.core import derive_seed
from harness.runs.rounds import CHECKPOINT, Rounds


@dataclass(frozen=True)
class Point:
    """The global model after a round, on the clients' held-out images."""

    round: int
    test_accuracy: float
    test_loss: float
    cpu_seconds: float
    """Of this round and its evaluation."""

    @classmethod
    def read(cls, row: Mapping[str, str]) -> "Point":
        """A point from a line of a CSV file."""
        measured = (float(row[name]) for name in ("test_accuracy", "test_loss", "cpu_seconds"))
        return cls(int(row["round"]), *measured)


@dataclass(frozen=True)
class Curve:
    """A network's points, and how many images it was trained and tested on."""

    name: str
    points: list[Point]
    trained_on: int
    tested_on: int


def measure(name: str, experiment: Experiment, rounds: int, images: int | None, store: Path) -> Curve:
    """Train up to a round, from where an earlier call stopped; `images`: deal out so many at most."""
    targets = Rounds(experiment, images=images)
    folder = store / "accuracy" / _identity(experiment, images)
    folder.mkdir(parents=True, exist_ok=True)
    points = load(folder / "curve.csv")
    checkpoint = folder / CHECKPOINT
    if max(points, default=-1) < rounds:
        recorder = _Recorder(points, folder / "curve.csv")
        callbacks = [recorder, Checkpoint(checkpoint)]
        targets.simulation.simulate(rounds, callbacks, checkpoint, targets.device)
    counts = (sum(map(len, part)) for part in (targets.population.train, targets.population.test))
    return Curve(name, [points[number] for number in sorted(points) if number <= rounds], *counts)


def _identity(experiment: Experiment, images: int | None) -> str:
    """Sixteen hexadecimal digits of the hash of all that the curve depends on."""
    parts = [experiment.identity.get(name) for name in ("dataset", "files", "model", "fl", "defense", "seed")]
    return f"{derive_seed(to_json(parts), images):016x}"


def load(path: Path) -> dict[int, Point]:
    """The points of a file by round; none without one."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        points = [Point.read(row) for row in csv.DictReader(file)]
    return {point.round: point for point in points}


class _Recorder(pl.Callback):
    """Evaluates the model before the first round and after each one, and writes every point down."""

    def __init__(self, points: dict[int, Point], path: Path) -> None:
        self.points, self.path, self.begun = points, path, time.process_time()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._record(pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, Simulation)
        pl_module.over = interruption.requested()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._record(pl_module)

    def _record(self, module: pl.LightningModule) -> None:
        assert isinstance(module, Simulation)
        number = int(module.finished)
        if (
            number not in self.points
        ):  # those after the last checkpoint are computed again, to the same numbers
            accuracy, loss = module.evaluate() or (math.nan, math.nan)
            spent = time.process_time() - self.begun
            self.points[number] = Point(number, accuracy, loss, round(spent, 3))
            write_atomically(self.path, _text(self.points).encode())
        self.begun = time.process_time()


def _text(points: dict[int, Point]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(Point.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(points[number]) for number in sorted(points))
    return buffer.getvalue()
