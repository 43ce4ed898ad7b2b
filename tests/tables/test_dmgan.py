"""The table of thefts: an adversary owns the class where the row says so, and nowhere else."""

from functools import cache
from typing import Any

import pytest
from omegaconf import OmegaConf

from harness.attacks.dmgan import DMGAN
from harness.base.schema import EXPERIMENTS
from harness.config.composition import compose
from harness.config.experiment import Experiment
from harness.tables.spec import parse


@cache
def composed(dataset: str, scale: str) -> dict[str, Experiment]:
    config: Any = OmegaConf.load(EXPERIMENTS / "table" / "dmgan.yaml")
    table = parse(OmegaConf.to_container(config.hydra.sweeper))  # type: ignore[arg-type]
    assert table.seeds == [0, 1, 2, 3, 4]
    return {cell.row: compose(*cell.overrides) for cell in table.cells(dataset, scale, seeds=[0])}


@pytest.mark.parametrize(("dataset", "scale"), [("digits32", "paper"), ("mnist", "small")])
def test_every_row_is_another_run_and_says_what_it_owns(dataset: str, scale: str) -> None:
    found = composed(dataset, scale)
    assert len({experiment.id for experiment in found.values()}) == len(found)
    for row, experiment in found.items():
        attack = experiment.attack
        assert isinstance(attack, DMGAN)
        assert attack.adversary.withhold is ("own images" not in row)
        assert experiment.training.steps == 0


def test_rows_do_what_they_are_called() -> None:
    found = composed("mnist", "small")
    for row, experiment in found.items():
        attack, fl = experiment.attack, experiment.fl
        assert isinstance(attack, DMGAN)
        if row[0].isdigit():
            assert attack.adversary.steps == int(row.split()[0])
            rounds = fl.first_attack - attack.adversary.first_round  # type: ignore[attr-defined]
            assert rounds == (5 if "five" in row else 1 if row.startswith("500") else 2)
            assert attack.adversary.first_round == next((n for n in (1, 8) if row.endswith(f"round {n}")), 4)
    assert found["100 steps by SGD"].attack.adversary.optimizer == "sgd"  # type: ignore[attr-defined]
    assert found["100 steps without fakes"].attack.adversary.fakes == 0  # type: ignore[attr-defined]
