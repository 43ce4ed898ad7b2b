"""The table of outcomes: every figure is a row, in the paper's setting."""

from dataclasses import replace
from typing import Any

import pytest
from omegaconf import OmegaConf

from harness.attacks.dmgan import DMGAN
from harness.base.schema import EXPERIMENTS
from harness.config.composition import compose
from harness.config.experiment import Experiment
from harness.identity.identity import canonical
from harness.papers.outcomes.rule import read
from harness.tables.spec import Table, parse

FIGURES = [*range(5, 11), 15, *range(17, 48)]
"""All of which the paper states an outcome."""


@pytest.fixture(scope="module")
def noteasy() -> Table:
    config = OmegaConf.load(EXPERIMENTS / "table" / "noteasy.yaml")
    return parse(OmegaConf.to_container(config.hydra.sweeper))  # type: ignore[arg-type]


def experiments(table: Table, dataset: str, scale: str, rows: list[str]) -> dict[str, Experiment]:
    return {c.row: compose(*c.overrides) for c in table.cells(dataset, scale) if c.row in rows}


def test_the_rows_are_the_figures_of_the_paper(noteasy: Table) -> None:
    published = read(EXPERIMENTS / "reference" / "noteasy_outcomes.csv")
    rows = [published[row] for row in noteasy.rows if row.startswith("Fig.")]
    assert [each.figure for each in rows] == FIGURES


def test_the_rows_have_the_papers_setting(noteasy: Table) -> None:
    published = read(EXPERIMENTS / "reference" / "noteasy_outcomes.csv")
    rows = ["Fig. 8 DLF", "Fig. 26 RTF", "Fig. 28 IG", "Fig. 34 DLF", "Fig. 37 IG", "Fig. 45 DLF"]
    for row, experiment in experiments(noteasy, "tile_sheets_cifar10", "paper", rows).items():
        theirs, fl = published[row], experiment.fl
        fewer = row == "Fig. 45 DLF"  # 50 images would not be left to each
        assert (fl.clients < theirs.clients) if fewer else (fl.clients == theirs.clients)  # type: ignore[attr-defined]
        assert fl.batch_size == theirs.batch
        assert fl.local_epochs == theirs.epochs  # type: ignore[attr-defined]
        assert ("100" in experiment.choices["dataset"]) == (theirs.dataset == "CIFAR-100")
        assert not experiment.knowledge.labels
        assert not experiment.knowledge.order


@pytest.mark.parametrize(
    ("scale", "dataset"), [("smoke", "digits32"), ("small", "digits32"), ("small", "cifar10")]
)
def test_every_kind_of_row_composes(noteasy: Table, scale: str, dataset: str) -> None:
    rows = [
        "Fig. 5 DLG",
        "Fig. 7 IG",
        "Fig. 8 DLF",
        "Fig. 9 CPA",
        "Fig. 10 CPA-FI",
        "Fig. 15 GGL",
        "Fig. 23 CPA-FI",
        "Fig. 25 GRNN",
        "Fig. 27 DMGAN",
        "Fig. 30 RTF",
        "Fig. 32 DMGAN",
        "Fig. 33 IG",
        "Fig. 43 DMGAN",
        "Fig. 44 DLF",
        "DMGAN, grey",
        "DMGAN, without own images",
    ]
    found = experiments(noteasy, dataset, scale, rows)
    assert len({experiment.id for experiment in found.values()}) == len(rows)


def test_dmgans_controls_differ_from_it_in_nothing_else(noteasy: Table) -> None:
    rows = ["Fig. 27 DMGAN", "DMGAN, grey", "DMGAN, noise", "DMGAN, untrained", "DMGAN, without own images"]
    found = experiments(noteasy, "cifar10", "small", rows)
    theirs = found["Fig. 27 DMGAN"]
    assert isinstance(theirs.attack, DMGAN)
    for row in rows[1:]:
        control = found[row]
        assert (control.fl, control.dataset, control.model) == (theirs.fl, theirs.dataset, theirs.model)
        assert isinstance(control.attack, DMGAN)
        assert control.attack != theirs.attack
        own = theirs.attack.adversary
        adversary = replace(control.attack.adversary, steps=own.steps, withhold=own.withhold)
        assert replace(control.attack, source=theirs.attack.source, adversary=adversary) == theirs.attack


REASONS = {
    "Fig. 19 iDLG": ("iDLG handed another update", "control"),
    "Fig. 24 GGL": ("GGL handed another update", "control"),
    "Fig. 31 GGL": ("GGL of 10 clients handed another update", "control"),
    "Fig. 21 DLF": ("DLF on larger clients", "fl.clients"),
    "Fig. 38 DLF": ("DLF on larger clients for 5 epochs", "fl.clients"),
    "Fig. 41 IG": ("IG on a ResNet", "model"),
}
"""Of figures: the row that shows why they do not agree, and the only setting in which it differs."""


@pytest.mark.parametrize(
    ("scale", "dataset"), [("small", "cifar10"), ("small", "tile_sheets_cifar10"), ("paper", "cifar10")]
)
def test_a_row_that_shows_a_reason_differs_in_that_alone(noteasy: Table, scale: str, dataset: str) -> None:
    reasons = dict(REASONS)
    if dataset == "tile_sheets_cifar10":
        del reasons["Fig. 41 IG"]  # of Tiny ImageNet, which is not at hand
    rows = [*reasons, *(row for row, _ in reasons.values())]
    found = {row: canonical(each) for row, each in experiments(noteasy, dataset, scale, rows).items()}
    for figure, (row, setting) in reasons.items():
        assert _differing(found[figure], found[row]) == {setting}


def _differing(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    """The settings that differ; of a protocol, which."""
    apart = _unequal(one, other)
    if "fl" in apart:
        settings = (each["fl"]["settings"] for each in (one, other))
        apart |= {f"fl.{name}" for name in _unequal(*settings)}
    return apart - {"fl"}


def _unequal(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
