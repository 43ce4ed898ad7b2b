"""Table IV and Figure 10 of the survey: images that RTF recovers of 64, beside what the bins themselves let expect."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

import torch
from torch import Tensor

from harness.base.errors import UserError
from harness.base.files import write_atomically
from harness.base.rows import pipes, to_csv
from harness.core import component
from harness.models.imprint import Imprint, imprint_block
from harness.papers.survey.theory import alone, alone_of_equal, block_parameters, cap, theorem
from harness.store.records import Store
from harness.tables.measurement import Outcome
from harness.tables.supplement import Supplement

EXACT = 30.0
"""dB from which an image that was read off in closed form counts as recovered."""
SEED = 0
"""Of the network by which a random functional is drawn."""
CAPPED = 1000
"""Images by which the cap of a generator is measured, at most."""
COLUMNS = ("row", "column", "draws", "recovered", "deviation", "expected", "expected_equal", "parameters")
Line = tuple[object, ...]


@component
class BinReport(Supplement):
    """report.md and bins.csv: for each cell the mean over draws of so many images, and Proposition 2's expectation,
    by the images that the bins hold of the attacked split, and by equal ones."""

    def write(self, dataset: str, outcomes: Sequence[Outcome], store: Store, directory: Path) -> None:
        """Write the files. Raises UserError where a row is of another attack than RTF."""
        cells: dict[tuple[str, str], list[Outcome]] = {}
        for outcome in outcomes:
            if outcome.record is not None and outcome.experiment is not None:
                cells.setdefault((outcome.cell.row, outcome.cell.column), []).append(outcome)
        lines = [counted(row, column, found) for (row, column), found in cells.items()]
        write_atomically(directory / "bins.csv", to_csv([COLUMNS, *lines]).encode())
        write_atomically(directory / "report.md", _report(lines, outcomes).encode())


def counted(row: str, column: str, draws: Sequence[Outcome]) -> Line:
    experiment = draws[0].experiment
    assert experiment is not None
    if not isinstance(experiment.model, Imprint):
        raise UserError(f"{row}: bins are counted of a model=imprint_* alone")
    counts = []
    for draw in draws:
        assert draw.record is not None
        counts.append(sum((each["psnr_unit"] or 0.0) >= EXACT for each in draw.record.rows))
    size, images = experiment.fl.examples, len(draws[0].record.rows if draws[0].record else ())
    times = images / size
    expected = alone(images_by_bin(draws[0]), size) * times
    even = alone_of_equal(experiment.model.bins, size) * times
    spread = stdev(counts) if len(counts) > 1 else None
    pixels = torch.Size(experiment.dataset.shape).numel()
    return (
        *(row, column, len(draws), fmean(counts), spread, expected, even),
        block_parameters(pixels, experiment.model.bins),
    )


def images_by_bin(outcome: Outcome) -> Tensor:
    """How many of the images that may be attacked fall into each bin of the block [bins]."""
    experiment = outcome.experiment
    assert experiment is not None
    dataset, root = experiment.dataset, experiment.data.root
    model = experiment.model.build(dataset, SEED, root)
    _, block = imprint_block(model)
    images = dataset.load("attack", root)
    shown = torch.stack([images[place][0] for place in range(len(images))])
    measured = model.normalize(shown).flatten(1).double() @ block.functional.double()
    # a row's bias is its edge, times what the row is multiplied by
    edges = -block.measure.bias.double() / (
        block.measure.weight[:, 0].double() / block.functional[0].double()
    )
    bins = torch.bucketize(measured, edges) - 1
    return torch.bincount(bins.clamp_min(0), minlength=len(edges))


def _report(lines: Sequence[Line], outcomes: Sequence[Outcome]) -> str:
    shown = [("row", "column", "draws", "recovered", "expected: bins as they are", "expected: equal bins")]
    for row, column, draws, mean, spread, expected, even, _ in lines:
        told = f"{mean:.2f}" + ("" if spread is None else f" ± {spread:.2f}")
        shown.append((str(row), str(column), str(draws), told, f"{expected:.2f}", f"{even:.2f}"))
    blocks = ["## Recovered, and what the bins let expect (Proposition 2)", pipes(shown)]
    if lines:
        blocks.append(
            f"The block has {lines[0][-1]:,} parameters: 2 N K + K + N, which are Figure 10's numbers."
        )
    blocks += [
        "## Theorem 1",
        _THEOREM,
        theorem(),
        "## The cap of a generator that ends in tanh",
        _capped(outcomes),
    ]
    return "\n\n".join(blocks) + "\n"


_THEOREM = (
    "Gradient descent on a quadratic with curvatures 1 and 10, without noise (kappa = 0). The printed contraction "
    "(1 - mu / (mu + L))^I does not depend on the step, and fails above and below it; with steps up to 2 / (mu + L) "
    "the classical bound holds."
)


def _capped(outcomes: Sequence[Outcome]) -> str:
    experiment = next((each.experiment for each in outcomes if each.experiment is not None), None)
    if experiment is None:
        return "No run."
    dataset, root = experiment.dataset, experiment.data.root
    images = dataset.load("attack", root)
    shown = torch.stack([images[place][0] for place in range(min(len(images), CAPPED))])
    mean, std = dataset.statistics
    best = cap(shown.double(), mean, std)
    finite = best[torch.isfinite(best)]
    if not len(finite):
        return "No image leaves [-1, 1] in the data set's units."
    return (
        f"CI-Net's generator ends in tanh, and its code seeks images in the data set's units (mean {_numbers(mean)}, "
        f"deviation {_numbers(std)}). Of {len(shown)} test images {len(finite)} leave [-1, 1]: their PSNR can't exceed "
        f"{finite.mean():.1f} dB in the mean, {finite.min():.1f} dB at worst, however good the attack is."
    )


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.3g}" for value in values)
