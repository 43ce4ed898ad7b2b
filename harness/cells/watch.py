"""Watch the store while a launcher works: a cell counts as done when its result, or its failure, is there."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from harness.base.progress import Bar, meanwhile, task
from harness.cells.task import failure
from harness.config.experiment import Experiment
from harness.core import Record, UserError
from harness.runs.answers import answer
from harness.store.records import Store

SECONDS = 0.3
"""Between two looks."""

Tell = Callable[[Record], str]
"""What a progress bar says of a finished run."""


@contextmanager
def watch(
    title: str, store: Store, runs: Mapping[str, tuple[str, Experiment]], tell: Tell, done: int
) -> Iterator[None]:
    """A progress bar for runs by id, each with its cell's name, while the block runs; `done` were there before.

    It works with every launcher, for it asks nothing but the store.
    """
    waiting = dict(runs)
    with (
        task(title, done + len(runs), done=done, every=0) as bar,
        meanwhile(lambda: _count(store, waiting, tell, bar), SECONDS),
    ):
        yield


def _count(store: Store, waiting: dict[str, tuple[str, Experiment]], tell: Tell, bar: Bar) -> None:
    for identity, (name, experiment) in list(waiting.items()):
        news = _news(store, experiment, tell)
        if news is not None:
            del waiting[identity]
            bar.advance(f"{name}  {news}")


def _news(store: Store, experiment: Experiment, tell: Tell) -> str | None:
    """What to say of a run that ended, or why it failed; None while it goes on."""
    try:
        record = answer(store, experiment)
    except UserError as damage:
        return f"failed: {damage}"
    if record is None:
        why = failure(store.root / experiment.id)
        return None if why is None else f"failed: {why}"
    return tell(record)
