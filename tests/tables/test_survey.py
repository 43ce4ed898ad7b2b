"""The parts of the survey: every row and column composes, and is what the text beside it says."""

from typing import Any

import pytest
from omegaconf import OmegaConf

from harness.base.schema import EXPERIMENTS
from harness.config.composition import compose
from harness.config.experiment import Experiment
from harness.federated.fedavg import FedAvg
from harness.federated.fedsgd import FedSGD
from harness.models.lora import LoRA
from harness.tables.spec import Table, parse

NAMES = sorted(path.stem for path in (EXPERIMENTS / "table").glob("survey_*.yaml"))


def table(name: str) -> Table:
    config: Any = OmegaConf.load(EXPERIMENTS / "table" / f"{name}.yaml")
    return parse(OmegaConf.to_container(config.hydra.sweeper))  # type: ignore[arg-type]


def composed(name: str, scale: str, row: str | None = None) -> dict[tuple[str, str], Experiment]:
    """Those of a row; by default of the first column and of the first row."""
    spec = table(name)
    first, head = next(iter(spec.rows)), next(iter(spec.columns))
    cells = spec.cells("digits32", scale, seeds=[0])
    chosen = [c for c in cells if (c.row == row if row else c.column == head or c.row == first)]
    return {(c.row, c.column): compose(*c.overrides) for c in chosen}


@pytest.mark.parametrize("name", NAMES)
def test_every_row_and_column_composes(name: str) -> None:
    found = composed(name, "small")
    assert len({experiment.id for experiment in found.values()}) == len(found)


def test_table_three_has_the_papers_settings() -> None:
    for (row, column), e in composed("survey_fedavg", "paper").items():
        assert isinstance(e.fl, FedAvg)
        assert (e.fl.examples_per_client, e.fl.lr, e.attack.steps) == (64, 0.01, 24000)
        assert f"E={e.fl.local_epochs} B={e.fl.batch_size}" == column
        guess = e.knowledge.protocol
        if row == "Weak":
            assert isinstance(guess, FedAvg)
            assert (guess.batch_size, guess.local_epochs, guess.lr) == (8, 2, 0.001)
        else:
            assert isinstance(guess, FedSGD) is row.startswith("None")
        assert (e.control == "negative") is (row == "None, sign as published")
        assert e.knowledge.order is (row == "Strong")


def test_the_controls_of_ggl_differ_in_what_is_handed_over_alone() -> None:
    rows = {row: e for (row, column), e in composed("survey_ggl", "paper").items() if column == "1 round"}
    assert {row: e.control for row, e in rows.items()} == {
        "True gradient": "none",
        "Another image's": "other",
        "Noise": "noise",
    }
    assert len({str(e.attack) for e in rows.values()}) == 1


def test_what_is_fine_tuned_is_a_rank_of_query_key_and_value() -> None:
    for (row, column), e in composed("survey_peft", "paper", "ViT, GELU, B drawn").items():
        assert isinstance(e.adapter, LoRA)
        assert e.adapter.layers == ("*.qkv",)
        assert f"Rank {e.adapter.rank}" == column
        assert (e.adapter.up > 0) is ("drawn" in row)
