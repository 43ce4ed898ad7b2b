"""Watch the store while a launcher works: a cell counts as done when its result, or its failure, is there."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from harness.progress import Bar, task
from harness.records import Store
from harness.tables.cell import failure
from harness.tables.spec import Cell, Table
from harness.tables.view import number

SECONDS = 0.3
"""Between two looks."""


@contextmanager
def watch(table: Table, store: Store, cells: Mapping[str, Cell], done: int) -> Iterator[None]:
    """A progress bar for the cells behind some run ids, while the block runs; `done` were there before.

    It works with every launcher, for it asks nothing but the store.
    """
    waiting, stop = dict(cells), threading.Event()
    with task(table.name, done + len(cells), done=done, every=0) as bar:

        def look() -> None:
            while not stop.wait(SECONDS):
                _count(table, store, waiting, bar)

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            _count(table, store, waiting, bar)


def _count(table: Table, store: Store, waiting: dict[str, Cell], bar: Bar) -> None:
    for identity, cell in list(waiting.items()):
        news = _news(table, store, identity)
        if news is not None:
            del waiting[identity]
            bar.advance(f"{cell.name}  {news}")


def _news(table: Table, store: Store, identity: str) -> str | None:
    """What to say of a run that ended: its first metric with a value, or why it failed."""
    record = store.load(identity)
    if record is None:
        why = failure(store.root / identity)
        return None if why is None else f"failed: {why}"
    for name, metric in table.metrics.items():
        summary = record.summary.get(name)
        if summary:
            return f"{metric.title} {number(summary['mean'], metric.digits)}"
    return "done"
