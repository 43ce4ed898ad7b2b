"""A small table, and runs for it whose numbers are known."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.store.records import Store, summarise
from harness.tables.layout import Cell
from harness.tables.measurement import Outcome
from harness.tables.spec import Table, parse

NODE: dict[str, Any] = {
    "name": "toy",
    "title": "A toy",
    "source": "Nobody, Nowhere, Table 0",
    "picture": "psnr",
    "metrics": {
        "mse": {"title": "MSE", "higher_is_better": False, "digits": 3, "missing": "no reason"},
        "psnr": {"title": "PSNR", "higher_is_better": True, "digits": 1},
    },
    "base": ["model=lenet"],
    "rows": {"A": ["attack=a", "attack.steps=9"], "B": ["attack=b"], "C": ["attack=c"]},
    "columns": {"X": ["defense=x"], "Y": ["defense=y"]},
    "scales": {
        "small": {
            "base": ["trials=2"],
            "rows": {"A": ["attack.steps=5"]},
            "columns": {"Y": ["defense.bound=1"]},
            "datasets": {"faces": {"base": ["model.width=2"], "rows": {"A": ["attack.steps=7"]}}},
        }
    },
}

Values = Mapping[tuple[str, str], list[float | None]]


@pytest.fixture
def node() -> dict[str, Any]:
    return copy.deepcopy(NODE)


@pytest.fixture(scope="session")
def table() -> Table:
    return parse(NODE)


def config(row: str) -> dict[str, Any]:
    knows = row == "A"
    return {
        "knowledge": {"labels": False, "defense": knows},
        "prior": {"_target_": "harness.priors.wgan_gp.WGANGP", "steps": 20} if knows else {},
        "attack": {"_target_": f"harness.attacks.{'ggl.GGL' if knows else 'dlg.DLG'}"},
        "model": {"_target_": "harness.models.lenet.LeNet", "width": 4, "seed": None},
        "choices": {"attack": row.lower(), "prior": "wgan" if knows else "none", "model": "lenet"},
    }


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


@pytest.fixture
def measured(store: Store) -> Callable[..., list[Outcome]]:
    """Runs in the store: MSE values per (row, column), PSNR ten times their negative; an empty list fails."""

    def make(values: Values, seed: int = 0, **columns: object) -> list[Outcome]:
        return [_outcome(store, key, numbers, seed, columns) for key, numbers in values.items()]

    return make


def _outcome(
    store: Store, key: tuple[str, str], numbers: list[float | None], seed: int, columns: dict[str, object]
) -> Outcome:
    row, column = key
    identity = f"{row}{column}{seed}"
    cell = Cell(row, column, seed, (f"attack={row}", f"data.root=/somewhere/{identity}", f"seed={seed}"))
    if not numbers:
        return Outcome(cell, identity, config(row), failure="ValueError: it broke")
    run = store.open(identity, config(row))
    for problem, value in enumerate(numbers):
        scores = {"mse": value, "psnr": None if value is None else -10 * value}
        cost = {"target": problem, "status": "budget", "evaluations": 7, "seconds": 0.5}
        truth = torch.full((1, 1, 8, 8), 0.0)
        run.append(
            problem,
            [{**scores, **cost, **columns}],
            {"truth": truth, "reconstruction": truth + (value or 0)},
            [],
        )
    spent = {"git": "0123", "seconds": 1.5, "versions": {"torch": "2"}}
    return Outcome(cell, identity, config(row), run.finish(summarise(run.rows), spent))


@pytest.fixture(scope="session")
def table3() -> Table:
    from omegaconf import OmegaConf

    from harness.base.schema import EXPERIMENTS

    config = OmegaConf.load(EXPERIMENTS / "table" / "table3.yaml")
    return parse(OmegaConf.to_container(config.hydra.sweeper))  # type: ignore[arg-type]
