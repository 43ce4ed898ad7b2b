"""The tables of CPA, CPA-FI and GRNN: every cell composes to a run of its own, and says what its name says."""

from functools import cache

import pytest
from omegaconf import OmegaConf

from harness.attacks.cpa import CPA
from harness.attacks.cpa_fi import CPAFI
from harness.attacks.grnn import GRNN
from harness.attacks.solvers.rmsprop import RMSprop
from harness.base.schema import EXPERIMENTS
from harness.config.composition import compose
from harness.config.experiment import Experiment
from harness.tables.spec import parse

CHOICES = [("photos32", "smoke"), ("photos32", "small"), ("tile_sheets_cifar10", "small")]
CHOICES += [("tile_sheets_cifar10", "paper")]


@cache
def composed(name: str, dataset: str, scale: str) -> dict[tuple[str, str], Experiment]:
    config = OmegaConf.load(EXPERIMENTS / "table" / f"{name}.yaml")
    table = parse(OmegaConf.to_container(config.hydra.sweeper))  # type: ignore[arg-type]
    cells = table.cells(dataset, scale, seeds=[0])
    return {(cell.row, cell.column): compose(*cell.overrides) for cell in cells}


@pytest.mark.parametrize("name", ["cpa", "cpa_fi", "grnn"])
@pytest.mark.parametrize(("dataset", "scale"), CHOICES)
def test_every_cell_is_a_run_of_its_own(name: str, dataset: str, scale: str) -> None:
    found = composed(name, dataset, scale)
    assert len({experiment.id for experiment in found.values()}) == len(found)


def test_the_published_weights_of_cpa_are_the_paper_s() -> None:
    attack = composed("cpa", "tile_sheets_cifar10", "paper")["Published weights", "Images"].attack
    assert isinstance(attack, CPA)
    assert (attack.negentropy, attack.decorrelation, attack.sharpness, attack.total_variation) == (
        1,
        1.47,
        12.4,
        3.1,
    )
    assert (attack.steps, attack.optimizer.lr) == (25_000, 1e-3)  # type: ignore[attr-defined]


def test_only_the_ceiling_is_handed_the_embeddings() -> None:
    for (row, column), experiment in composed("cpa_fi", "tile_sheets_cifar10", "small").items():
        assert isinstance(experiment.attack, CPAFI)
        assert experiment.knowledge.embeddings is (column != "CPA-FI")
        assert bool(experiment.training.steps) is row.startswith("Trained")


def test_grnn_has_a_network_of_its_own_for_every_image() -> None:
    for (row, _), experiment in composed("grnn", "tile_sheets_cifar10", "small").items():
        attack = experiment.attack
        assert isinstance(attack, GRNN)
        assert isinstance(attack.optimizer, RMSprop) is (row == "RMSprop")
        assert experiment.model.fresh
        assert experiment.dataset.shape[1:] == (32, 32)
