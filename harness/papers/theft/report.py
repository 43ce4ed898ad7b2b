"""What a client with a GAN has come to, seed by seed, beside what it owned and how good its judge is."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

from harness.attacks.dmgan import DMGAN
from harness.base.errors import UserError
from harness.base.files import write_atomically
from harness.base.rows import Row, pipes
from harness.core import component
from harness.metrics.confidence import Confidence
from harness.papers.theft.pictures import overview
from harness.papers.theft.reals import Judged, judged
from harness.plots import pictures
from harness.store.records import Store
from harness.tables.measurement import Outcome
from harness.tables.supplement import Supplement

COLLAPSED = 0.05
"""The spread of pictures below which their generator makes one."""
HEAD = ("row", "seed", "own images", "test accuracy", "pictures", "p", "p > .9", "SSIM", "spread")


@component
class TheftReport(Supplement):
    """report.md: the judge on real pictures, and every row by seed; gallery.png: some pictures of each."""

    def write(self, dataset: str, outcomes: Sequence[Outcome], store: Store, directory: Path) -> None:
        done = [outcome for outcome in outcomes if outcome.record and outcome.experiment]
        blocks = ["## The judge", _judge(done, store), "## By seed", _by_seed(done), _collapse(done)]
        write_atomically(directory / "report.md", ("\n\n".join(blocks) + "\n").encode())
        if done and (drawn := overview(done, store)):
            pictures.save(drawn, directory / "gallery.png")


def _judge(done: Sequence[Outcome], store: Store) -> str:
    found = next(((each, metric) for each in done if (metric := _metric(each)) is not None), None)
    if found is None:
        return "No run has one."
    outcome, metric = found
    assert outcome.experiment is not None
    attack, root = outcome.experiment.attack, outcome.experiment.data.root
    assert isinstance(attack, DMGAN)
    try:
        return _told(judged(metric, attack.adversary.tracked, root, str(store.root / "judges")))
    except UserError as error:
        return f"It can't be asked here: {error}."


def _metric(outcome: Outcome) -> Confidence | None:
    metrics = outcome.experiment.metric.metrics.values() if outcome.experiment else ()
    return next((metric for metric in metrics if isinstance(metric, Confidence)), None)


def _told(found: Judged) -> str:
    return (
        f"A network that has learnt {found.learnt:,} public images, which no client holds, for {found.steps:,} steps. "
        f"Of {found.tested:,} test images it gets {found.accuracy:.1%} right; of the {found.reals:,} of the class "
        f"{found.sure:.1%} have p > .9. {found.matched} of these, matched to the clients' as pictures are, have an "
        f"SSIM of {found.likeness:.2f}; as many test images of other classes have {found.others:.2f}, and copies of "
        f"the mean of the clients' images of the class {found.average:.2f}, with p = {found.average_p:.3f}. Pictures "
        "with less are less like the class than those of other classes are."
    )


def _by_seed(done: Iterable[Outcome]) -> str:
    return pipes([HEAD, *(_line(outcome, _rows(outcome)) for outcome in done)])


def _line(outcome: Outcome, rows: Sequence[Row]) -> tuple[str, ...]:
    accuracy, own = rows[0]["test_accuracy"], rows[0]["own_images"]
    scores = [_mean(rows, name) for name in ("confidence", "confident", "ssim", "spread")]
    return (
        *(outcome.cell.row, str(outcome.cell.seed), str(own)),
        *("" if accuracy is None else f"{accuracy:.2f}", str(len(rows)), *scores),
    )


def _collapse(done: Iterable[Outcome]) -> str:
    flat = [
        f"{outcome.cell.row} (seed {outcome.cell.seed})"
        for outcome in done
        if (spread := _rows(outcome)[0].get("spread")) is not None and spread < COLLAPSED
    ]
    return f"Collapsed, with a spread below {COLLAPSED}: {', '.join(flat) or 'none'}."


def _rows(outcome: Outcome) -> list[Row]:
    assert outcome.record is not None
    return outcome.record.rows


def _mean(rows: Sequence[Row], name: str) -> str:
    values = [float(row[name]) for row in rows if row.get(name) is not None]
    return f"{fmean(values):.3f}" if values else ""
