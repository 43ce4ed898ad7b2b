"""What was published need not be computed: tables and sweeps take its runs into the store, without their pictures."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from harness.base.errors import note
from harness.base.files import check_writable, shown
from harness.base.schema import EXPERIMENTS
from harness.cells.plan import AnyCell, Plan
from harness.config.experiment import Experiment
from harness.runs.answers import settled, wanted
from harness.store.journal import decode
from harness.store.published import Files, holdings, put, unpack, vacant
from harness.store.records import Store

RESULTS = EXPERIMENTS / "results"


def results(experiments: Iterable[Experiment]) -> Path:
    """Where the runs of a table or a sweep look for published ones."""
    return next((each.paths.published for each in experiments), None) or RESULTS


def take_published(store: Store, plan: Plan[AnyCell], partly: bool = False) -> None:
    """Take the runs of a plan that the store has nothing of from where they were published, and say so.

    Those with fewer targets than are asked for are taken where they can be gone on with, or are to be shown `partly`.
    Raises UserError for an archive that can't be read.
    """
    lacking = {e.id: e for e in plan.values() if not settled(store, e) and vacant(store.root / e.id)}
    root = results(plan.values())
    where = holdings(root) if lacking else {}
    archives = defaultdict(list)
    for identity in lacking.keys() & where.keys():
        archives[where[identity]].append(identity)
    taken = 0
    for archive, identities in sorted(archives.items()):
        for identity, files in unpack(archive, identities).items():
            if _helps(files, lacking[identity], partly):
                check_writable(store.root)
                put(store.root / identity, files)
                taken += 1
    if taken:
        note(
            f"{taken} runs are taken from {shown(root)}, without pictures; "
            "paths.published=none computes them here"
        )


def _helps(files: Files, experiment: Experiment, partly: bool) -> bool:
    """Whether a run has all that is asked for, or can be gone on with: not where one attack depends on those before."""
    held = {row["problem"] for row in decode(files["rows.jsonl"])[0]}
    if held >= set(range(wanted(experiment))):
        return True
    return not experiment.start.learns and (partly or not experiment.fl.in_rounds)
