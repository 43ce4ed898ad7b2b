"""Watch the store while a launcher works: a cell counts as done when its result, or its failure, is there."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from harness.cells.task import failure
from harness.core import Record
from harness.progress import Bar, meanwhile, task
from harness.records import Store

SECONDS = 0.3
"""Between two looks."""

Tell = Callable[[Record], str]
"""What a progress bar says of a finished run."""


@contextmanager
def watch(title: str, store: Store, names: Mapping[str, str], tell: Tell, done: int) -> Iterator[None]:
    """A progress bar for the cells behind some run ids, while the block runs; `done` were there before.

    It works with every launcher, for it asks nothing but the store.
    """
    waiting = dict(names)
    with (
        task(title, done + len(names), done=done, every=0) as bar,
        meanwhile(lambda: _count(store, waiting, tell, bar), SECONDS),
    ):
        yield


def _count(store: Store, waiting: dict[str, str], tell: Tell, bar: Bar) -> None:
    for identity, name in list(waiting.items()):
        news = _news(store, identity, tell)
        if news is not None:
            del waiting[identity]
            bar.advance(f"{name}  {news}")


def _news(store: Store, identity: str, tell: Tell) -> str | None:
    """What to say of a run that ended, or why it failed; None while it goes on."""
    record = store.load(identity)
    if record is None:
        why = failure(store.root / identity)
        return None if why is None else f"failed: {why}"
    return tell(record)
