"""Watch the store while a launcher works: a cell counts as done when its result, or its failure, is there, and until
then by its images; where this process is at it, by how far their searches have come, too. The time that is left goes
by what each has to compute."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from harness.base.progress import Bar, inside, meanwhile, task
from harness.cells.task import failure
from harness.cells.turns import work
from harness.config.experiment import Experiment
from harness.core import Record, UserError
from harness.runs.answers import answer, wanted
from harness.store.integrity import ROWS
from harness.store.records import Store

_PROBLEM = re.compile(r'"problem": (\d+)')
SECONDS = 0.3
"""Between two looks."""

Tell = Callable[[Record], str]
"""What a progress bar says of a finished run."""
Waiting = dict[str, tuple[str, Experiment]]
"""Runs without an end, by id, each with its cell's name; first that which is begun first."""


@contextmanager
def watch(title: str, store: Store, runs: Waiting, tell: Tell, done: int) -> Iterator[None]:
    """A progress bar for runs while the block runs; `done` were there before.

    It works with every launcher, for it asks nothing but the store.
    """
    waiting, weights = dict(runs), weighed(runs)
    before = {identity: _share(store, experiment) for identity, (_, experiment) in runs.items()}
    with (
        task(title, done + len(runs), done=done, every=0) as bar,
        meanwhile(lambda: _count(store, waiting, weights, before, tell, bar), SECONDS),
    ):
        yield


def weighed(runs: Waiting) -> dict[str, float]:
    """How many runs of a common length each is worth, by what it computes: together as many as there are."""
    found = {identity: work((experiment,)) for identity, (_, experiment) in runs.items()}
    common = sum(found.values()) / len(found)
    return {identity: each / common for identity, each in found.items()}


def _count(
    store: Store,
    waiting: Waiting,
    weights: Mapping[str, float],
    before: Mapping[str, float],
    tell: Tell,
    bar: Bar,
) -> None:
    shares = {
        identity: max(0.0, _share(store, experiment) - before[identity])
        for identity, (_, experiment) in waiting.items()
    }
    for identity, (name, experiment) in list(waiting.items()):
        news = _news(store, experiment, tell)
        if news is not None:
            del waiting[identity], shares[identity]
            bar.advance(f"{name}  {news}", shares=_beyond(weights, shares))
    bar.begin(_beyond(weights, shares))


def _beyond(weights: Mapping[str, float], shares: Mapping[str, float]) -> float:
    """How much has been done less the number of runs that have ended: below zero where these are the short ones.

    `shares` has of every run without an end how much of it is done, first of that which is begun first.
    """
    if not shares:
        return 0.0
    ended = sum(weights[identity] - 1 for identity in weights.keys() - shares.keys())
    here = weights[next(iter(shares))] * inside()
    return ended + sum(weights[identity] * share for identity, share in shares.items()) + here


def _share(store: Store, experiment: Experiment) -> float:
    """How much of a run that is under way is stored: of its problems, those of which a row is there."""
    try:
        text = (store.root / experiment.id / ROWS).read_text(encoding="utf-8", errors="replace")
    except OSError:  # not begun, or damaged, which its worker will say
        return 0.0
    return min(1.0, len(set(_PROBLEM.findall(text))) / wanted(experiment))


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
