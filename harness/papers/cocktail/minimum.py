"""The loss of CPA at the true images, beside where its search begins and ends: the truth is no minimum."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from harness.attacks.cpa import CPA, UNMIXING
from harness.base.files import write_atomically
from harness.base.rows import Row, pipes, to_csv
from harness.core import Observation, Params, Unreadable, UserError, component
from harness.runs.clients import open_targets
from harness.store.records import Store
from harness.tables.measurement import Outcome
from harness.tables.supplement import Supplement

HEAD = ("run", "row", "column", "client", "start", "found", "truth", "residual")


@dataclass(frozen=True)
class Losses:
    """Of one client: the loss where the search begins, and at the images that it looks for."""

    start: float
    truth: float
    residual: float
    """By how much the images are no sums of the gradient's rows: the largest error over the largest pixel."""


def losses(attack: CPA, observation: Observation, truth: Tensor) -> Losses:
    """The losses of an attack on an update of the images truth [n, c, h, w], in [0, 1].

    Raises Unreadable where the update says nothing to the attack.
    """
    known = attack.prepare(observation)
    images = observation.model.normalize(truth).flatten(1).double()
    mixed = (known["mixed"] + known["mean"]).double()
    solved: Tensor = torch.linalg.lstsq(mixed.T, images.T, driver="gelsd").solution
    residual = float((mixed.T @ solved - images.T).abs().max() / images.abs().max())
    start = torch.eye(len(mixed)).to(known["mixed"])
    return Losses(
        _loss(attack, start, observation, known),
        _loss(attack, solved.T.to(start), observation, known),
        residual,
    )


def _loss(attack: CPA, unmixing: Tensor, observation: Observation, known: Params) -> float:
    return float(attack.loss({UNMIXING: unmixing}, observation, known))


@component
class LossAtTruth(Supplement):
    """minimum.md, and minimum.csv with every client: the loss at the start, at the end of a search, at the truth."""

    rows: list[str]

    def write(self, dataset: str, outcomes: Sequence[Outcome], store: Store, directory: Path) -> None:
        lines = [line for one in outcomes if one.record and one.cell.row in self.rows for line in _lines(one)]
        if lines:
            table = [[line[name] for name in HEAD] for line in lines]
            write_atomically(directory / "minimum.csv", to_csv([HEAD, *table]).encode())
            write_atomically(directory / "minimum.md", _page(dataset, lines).encode())


def _lines(outcome: Outcome) -> Iterator[Row]:
    experiment, record = outcome.experiment, outcome.record
    assert experiment is not None
    assert record is not None
    attack = experiment.attack
    if not isinstance(attack, CPA):
        raise UserError(f"minimum: {outcome.cell.name} is no CPA")
    found = {row["problem"]: row["loss"] for row in record.rows if row["status"] != "failed"}
    targets = open_targets(experiment)
    for problem, loss in found.items():
        client = targets[problem]
        try:
            known = losses(attack, client.problem.observation, client.truth.x)
        except Unreadable:
            continue
        at = {"start": known.start, "found": loss, "truth": known.truth, "residual": known.residual}
        where = {"run": outcome.id, "row": outcome.cell.row, "column": outcome.cell.column, "client": problem}
        yield where | at


def _page(dataset: str, lines: Sequence[Row]) -> str:
    cells = list(dict.fromkeys((line["row"], line["column"]) for line in lines))
    table: list[list[str]] = []
    for row, column in cells:
        own = [line for line in lines if (line["row"], line["column"]) == (row, column)]
        means = [f"{fmean(line[name] for line in own):.3g}" for name in ("start", "found", "truth")]
        above = sum(line["truth"] > line["found"] for line in own)
        worst = max(line["residual"] for line in own)
        table.append([row, column, *means, f"{above} of {len(own)}", f"{worst:.1g}"])
    head = ["row", "data", "loss at the start", "where the search ended", "at the true images"]
    shown = pipes([[*head, "truth above what was found", "largest residual of the truth"], *table])
    return f"""# The minimum of CPA's loss is not at the truth

{dataset}. The loss (less the constant of the diagonal of its decorrelation) at the whitened gradient, where the search
starts; where it ended, mean over clients; and with the directions that make the client's own images, by least squares.
The residual is their largest error, over the largest pixel: the images are sums of the gradient's rows, and what is
lost is lost in the search. Real images are correlated, so that the directions that make them are not orthogonal, which
the decorrelation punishes: a lower loss is no sign of better images.

{shown}
"""
