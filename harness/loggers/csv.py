"""Plain CSV files in the run's own directory."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from typing_extensions import override

from harness.base.files import write_atomically
from harness.base.rows import Row, to_csv
from harness.core import Record, component
from harness.loggers.logger import Logger, RunInfo, Session, curve
from harness.store.frames import flatten
from harness.store.records import Trace


@component
class Csv(Logger):
    """Write `curves/<problem>.csv` as each reconstruction ends, `images.csv` and `summary.csv` last."""

    @override
    def open(self, run: RunInfo) -> Session:
        return CsvSession(run.directory)


class CsvSession(Session):
    """Every file is written whole, so that a resumed run overwrites what it does again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @override
    def image(self, problem: int, rows: list[Row], trace: Trace) -> None:
        points = [{"evaluation": evaluation, **values} for evaluation, values in curve(trace)]
        _write(self.directory / "curves" / f"{problem:04d}.csv", points)

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
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode(), durable=False)
