"""Plain CSV files in the run's own directory."""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL.Image import Image
from typing_extensions import override

from harness.base.files import write_atomically
from harness.base.rows import Row, to_csv
from harness.core import Record, component
from harness.loggers.logger import LiveLogger, LiveSession, News, RunInfo, Session
from harness.plots.pictures import save
from harness.store.frames import flatten
from harness.store.records import Trace

SECONDS = 1.0
"""Between two times that curves of searches under way are written."""


@component
class Csv(LiveLogger):
    """Write `curves/<problem>.csv`, and a picture beside it, while each search lasts; `images.csv` and `summary.csv`
    last."""

    @override
    def open(self, run: RunInfo) -> Session:
        return CsvSession(run.directory, self.every)


class CsvSession(LiveSession):
    """Every file is written whole, so that a resumed run overwrites what it does again."""

    def __init__(self, directory: Path, every: int) -> None:
        super().__init__(every)
        self.directory = directory
        self.curves = directory / "curves"
        self.curves.mkdir(parents=True, exist_ok=True)
        self.points: dict[str, list[Row]] = {}
        """Of the searches under way, by series."""
        self.written = time.monotonic()

    @override
    def follow(self, news: News) -> None:
        points = self.points.setdefault(news.series, [])
        points.append({"evaluation": news.evaluation, **news.values})
        self.heard[news.series] = news.evaluation
        if news.picture is not None:
            save(news.picture, self._curve(news.series, ".png"))
        if time.monotonic() - self.written > SECONDS:
            for series, found in self.points.items():
                _write(self._curve(series, ".csv"), found)
            self.written = time.monotonic()

    @override
    def image(self, problem: int, rows: list[Row], trace: Trace) -> None:
        rest: list[Row] = [{"evaluation": place, **values} for place, values in self.rest(problem, trace)]
        own = [series for series in self.points if series.partition(".")[0] == str(problem)]
        points: dict[str, list[Row]] = {str(problem): []} | {
            series: self.points.pop(series) for series in own
        }
        points[str(problem)] += rest
        for series, found in points.items():
            _write(self._curve(series, ".csv"), found)

    @override
    def picture(self, problem: int, evaluation: int, draw: Callable[[], Image]) -> None:
        save(draw(), self._curve(str(problem), ".png"))

    def _curve(self, series: str, suffix: str) -> Path:
        """`curves/0003.csv`; of the second of several attempts `curves/0003.1.csv`."""
        problem, dot, attempt = series.partition(".")
        return self.curves / f"{int(problem):04d}{dot}{attempt}{suffix}"

    @override
    def finish(self, record: Record, gallery: Path | None) -> None:
        summary = [{"name": name, "value": value} for name, value in flatten(record.summary).items()]
        _write(self.directory / "images.csv", record.rows)
        _write(self.directory / "summary.csv", summary)


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Rows under the union of their columns; a missing value is an empty cell."""
    rows = list(rows)
    columns = list({name: None for row in rows for name in row})
    text = to_csv([columns, *([row.get(name) for name in columns] for row in rows)])
    write_atomically(path, text.encode(), durable=False)
