"""The report of 'Not Easy': each figure's published outcome beside ours, RTF's guarantee, and a gallery a figure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from statistics import fmean
from typing import Any

from PIL import Image

from harness.attacks.rtf import expected_alone
from harness.base.files import write_atomically
from harness.base.numbers import Count
from harness.base.rows import pipes, to_csv
from harness.base.schema import EXPERIMENTS
from harness.base.statistics.agreement import agreement
from harness.core import component
from harness.models.imprint import Imprint
from harness.papers.outcomes.rule import (
    CLEAR,
    MANY,
    PSNR,
    RULE,
    SOME,
    VAGUE,
    Measured,
    Stated,
    decide,
    read,
)
from harness.plots import pictures
from harness.store.published import absent
from harness.store.records import Store
from harness.tables.cuttings import Cutting, Cuttings, box, told
from harness.tables.measurement import Outcome
from harness.tables.supplement import Supplement

COLUMNS = (
    *("row", "published", "measured", "agrees", "clients", "images"),
    *("psnr_unit", "clear", "vague", "run"),
)
SIDE = 32
"""Pixels of a picture in the overview."""
ACROSS, DOWN, GAP = 12, 10, 4
"""Pixels between words and strip, between rows, and below the rule."""
EXACT = 30.0
"""dB above which an image that was read off in closed form counts as recovered."""


@component
class OutcomeReport(Supplement):
    """report.md, outcomes.csv, and a gallery with some images of every row."""

    reference: str
    """The published outcomes; relative to experiments/."""
    apart: list[str] = field(default_factory=list)
    """Attacks that succeed by construction: the agreement is counted without them too."""
    images: Count = 10
    """Images of each row, from the best by PSNR to the worst in equal steps."""

    def write(self, dataset: str, outcomes: Sequence[Outcome], store: Store, directory: Path) -> None:
        published = read(EXPERIMENTS / self.reference)
        done = {outcome.cell.row: outcome for outcome in outcomes if outcome.record}
        text = markdown(
            dataset, [outcome.cell.row for outcome in outcomes], done, published, store, self.apart
        )
        write_atomically(directory / "outcomes.csv", outcomes_csv(done, published).encode())
        write_atomically(directory / "report.md", text.encode())
        cut = Cuttings(outcomes)
        lines = [
            (
                outcome.id,
                verdict_beside(row, decide(rows_of(outcome)), published.get(row)),
                strip(outcome, store, self.images, cut),
            )
            for row, outcome in done.items()
        ]
        if lines:
            drawn, said = overview(lines)
            pictures.save(drawn, directory / "gallery.png", said)


def strip(outcome: Outcome, store: Store, most: int, cut: Cuttings) -> Image.Image:
    """Some images of a row, from the best to the worst in equal steps, truth above reconstruction: of those that are
    there, and of large ones fewer; where none was handed on, as they were published."""
    images, scores = outcome.images(store), [row.get("psnr_unit") for row in rows_of(outcome)]
    ranked = sorted(range(len(scores)), key=lambda place: -(scores[place] or 0.0))
    held = [place for place in ranked if not absent(images["truth"][place])]
    if not held and (published := cut([outcome.id])):
        return published[1]
    ranked = held or ranked
    most = min(most, max(2, most * SIDE**2 // images["truth"][0, 0].numel()))
    shown = [ranked[place] for place in evenly(len(ranked), most)]
    both = [
        pictures.beside([pictures.tile(image, SIDE) for image in images[name][shown]], 2)
        for name in ("truth", "reconstruction")
    ]
    return pictures.above(both, gap=2)


def verdict_beside(row: str, verdict: Measured, theirs: Stated | None) -> Image.Image:
    """What a row is called, and each number that decided it beside what the rule asks for."""
    psnr = "no PSNR" if verdict.psnr is None else f"{verdict.psnr:.1f} dB"
    words = [
        f"{verdict.label}; the paper: {theirs.label}" if theirs else verdict.label,
        f"{psnr} (success: {PSNR:.0f})",
        f"{verdict.clear:.0%} with SSIM ≥ {CLEAR} (success: {MANY:.0%})",
        f"{verdict.vague:.0%} with SSIM ≥ {VAGUE} (partial: {SOME:.0%})",
    ]
    return pictures.above(
        [pictures.label(row, bold=True), *(pictures.label(each, 10) for each in words)], gap=0
    )


def overview(rows: Sequence[tuple[str, Image.Image, Image.Image]]) -> tuple[Image.Image, str]:
    """The rule, and all rows below one another, small: what decided, beside the strip of a run. And what lies where."""
    lines = [[words, strip] for _, words, strip in rows]
    rule = pictures.above([pictures.label(part.strip(), 10) for part in RULE.split(";")])
    drawn = pictures.framed(pictures.above([rule, pictures.grid(lines, ACROSS, DOWN)], GAP))
    places = []
    for (run, _, strip), (_, corner) in zip(rows, pictures.places(lines, ACROSS, DOWN), strict=True):
        where = box(corner, strip, below=rule.height + GAP)
        places.append(Cutting((run,), where, where))
    return drawn, told(places)


def evenly(count: int, shown: int) -> list[int]:
    """So many places of `count`, from the first to the last in equal steps."""
    if count <= shown:
        return list(range(count))
    return [round(step * (count - 1) / (shown - 1)) for step in range(shown)]


def rows_of(outcome: Outcome) -> list[dict[str, Any]]:
    """The rows of a finished run, in the order of its images."""
    assert outcome.record is not None
    return outcome.record.rows


def clients(outcome: Outcome) -> int:
    """How many updates were attacked: the images of one are not independent."""
    return len({row["problem"] for row in rows_of(outcome)})


def outcomes_csv(done: Mapping[str, Outcome], published: Mapping[str, Stated]) -> str:
    """outcomes.csv: one line per finished row."""
    lines: list[Sequence[object]] = [COLUMNS]
    for row, outcome in done.items():
        verdict, theirs = decide(rows_of(outcome)), published.get(row)
        words = [theirs and theirs.label, verdict.label, theirs and theirs.label == verdict.label]
        found = [clients(outcome), verdict.images, verdict.psnr, verdict.clear, verdict.vague]
        lines.append([row, *words, *found, outcome.id])
    return to_csv(lines)


def markdown(
    dataset: str,
    rows: Sequence[str],
    done: Mapping[str, Outcome],
    published: Mapping[str, Stated],
    store: Store,
    apart: Sequence[str] = (),
) -> str:
    """report.md."""
    compared = [row for row in done if row in published]
    others = [row for row in compared if published[row].attack not in apart]
    blocks = [
        f"# Published outcomes beside ours, {dataset}",
        f"{_agreement(compared, done, published)}. The paper gives no measure; ours is {RULE}.",
    ]
    if others != compared:
        blocks.append(f"Without {', '.join(apart)}: {_agreement(others, done, published)}.")
    blocks += [_INDEPENDENCE, pipes(_outcomes(rows, done, published))]
    guarantee = list(_guarantee(done, store))
    if len(guarantee) > 1:
        blocks += ["## Robbing the Fed: the guarantee", _GUARANTEE, pipes(guarantee)]
    if done:
        blocks += [
            "## Pictures",
            "![What decided, beside truth above reconstruction, row by row](gallery.png)",
        ]
    for row in done:
        said = f" The paper: {published[row].text}." if row in published else ""
        blocks.append(f"**{row}**: {_numbers(decide(rows_of(done[row])))}.{said}")
    return "\n\n".join(blocks) + "\n"


def _agreement(rows: Sequence[str], done: Mapping[str, Outcome], published: Mapping[str, Stated]) -> str:
    """How many outcomes agree, and how far beyond chance."""
    found = agreement(
        [published[row].label for row in rows], [decide(rows_of(done[row])).label for row in rows]
    )
    kappa = "not defined" if found.kappa is None else f"{found.kappa:.2f}"
    return f"{found.same} of {found.n} outcomes agree, {found.chance:.1f} would by chance: Cohen's kappa is {kappa}"


def _outcomes(
    rows: Sequence[str], done: Mapping[str, Outcome], published: Mapping[str, Stated]
) -> Iterator[list[str]]:
    yield [
        *(
            "figure",
            "the paper's setting",
            "published",
            "measured",
            "agrees",
            "clients",
            "images",
            "PSNR, dB",
        ),
        *(f"SSIM ≥ {CLEAR}", f"SSIM ≥ {VAGUE}"),
    ]
    for row in rows:
        theirs = published.get(row)
        said = [theirs.described, theirs.said] if theirs else ["", ""]
        if row not in done:
            yield [row, *said, "no result", *[""] * 6]
            continue
        verdict = decide(rows_of(done[row]))
        agrees = "" if theirs is None else ("yes" if theirs.label == verdict.label else "no")
        psnr = "-" if verdict.psnr is None else f"{verdict.psnr:.1f}"
        shares = [f"{verdict.clear:.0%}", f"{verdict.vague:.0%}"]
        counts = [str(clients(done[row])), str(verdict.images)]
        yield [row, *said, f"**{verdict.label}**", agrees, *counts, psnr, *shares]
    for row, theirs in published.items():
        if row not in rows:
            yield [row, theirs.described, theirs.said, "not measured", *[""] * 6]


def _guarantee(done: Mapping[str, Outcome], store: Store) -> Iterator[list[str]]:
    """For every row with an imprint block, how many images should be alone in a bin, and how many were recovered."""
    yield [
        *("figure", "bins", "images", "alone if all in one step", "batch", "alone if one batch in one step"),
        *("images read off", f"PSNR > {EXACT:.0f} dB"),
    ]
    for row, outcome in done.items():
        experiment = outcome.experiment
        if experiment is None or not isinstance(experiment.model, Imprint):
            continue
        batch, bins = experiment.fl.batch_size, experiment.model.bins
        held = {
            line["problem"]: line.get("examples", experiment.fl.examples) for line in rows_of(outcome)
        }.values()
        points = [point for trace in outcome.traces(store).values() for point in trace]
        returned = sum(point.get("returned", 0) for point in points)
        exact = sum((line.get("psnr_unit") or 0) > EXACT for line in rows_of(outcome))
        whole = fmean(expected_alone(images, bins) for images in held)
        once = fmean(expected_alone(min(batch, images), bins) for images in held)
        each = len(held)
        yield [
            *(row, str(bins), f"{fmean(held):.0f}", f"{whole:.1f}", str(batch), f"{once:.1f}"),
            *(f"{returned / each:.1f}" if points else "not kept", f"{exact / each:.1f}"),
        ]


def _numbers(verdict: Measured) -> str:
    psnr = "no PSNR" if verdict.psnr is None else f"{verdict.psnr:.1f} dB"
    return f"{verdict.label}; {psnr} on average over {verdict.images} images, {verdict.clear:.0%} with SSIM ≥ {CLEAR}"


_INDEPENDENCE = (
    "Images of one client come from one update and are not independent: what an outcome rests on is its number of "
    "clients, and no interval is given where these are so few. Kappa is of figures, of which several share a setting."
)
_GUARANTEE = (
    "Of n images in one step, n (1 - 1/K)^(n - 1) are expected alone in one of K equally likely bins, and one that is "
    "alone is recovered exactly. With many local steps the rows drift, and there is no guarantee. Numbers are means "
    "over clients; read off are the quotients within the range of images."
)
