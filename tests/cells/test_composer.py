"""Cells composed together are what Hydra makes of each by itself."""

from itertools import product
from pathlib import Path
from typing import Any, cast

import pytest
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from harness.base.complaints import explain_composition
from harness.base.schema import CONF, prepare_hydra
from harness.cells.composer import Composer
from harness.cells.plan import cell_config
from harness.config.composition import parse
from harness.config.experiment import Experiment
from harness.core import UserError
from harness.tables import spec

TABLES = Path(__file__).parents[2] / "experiments" / "table"
CELLS = [
    ("attack=dlg", "seed=1"),
    ("attack=dlg", "attack.steps=3", "seed=0"),
    ("attack=dlg", "attack.steps=3", "attack.steps=5", "trials=2"),
    ("attack.steps=3", "attack=dlg"),
    ("attack=ig", "attack.total_variation=.1", "defense=noise", "defense={sigma:.2}"),
    ("attack=ig", "labels@attack.labels=llg", "attack.labels.weights=true", "++trials=3", "~label.tags"),
    ("defense=clipping_noise", "defense.defenses.0.bound=2", "data.root=${paths.runs}", "label.tags=[a,b]"),
    ("defense=clipping_noise", "attack.steps=${trials}", "+metric.metrics.more=${metric.metrics.mse}"),
]
MISTAKES = [
    ("attack=dgl",),
    ("attack=dlg", "attack.step=3"),
    ("attack=dlg", "attack.steps=-1"),
    ("attack=dlg", "attack.steps=1,2"),
    ("attack=dlg", "attack.steps=[1"),
    ("attack=dlg", "attack.steps=${nothing}"),
    ("attack=dlg", "+dataset=mnist"),
    ("attack=dlg", "seed=many"),
    ("hydr=1",),
    ("hydra.nothing=1",),
]


def load(*overrides: str) -> tuple[HydraContext, DictConfig]:
    prepare_hydra()
    loader = ConfigLoaderImpl(create_config_search_path(str(CONF)))
    config = loader.load_configuration("config", list(overrides), RunMode.MULTIRUN)
    return HydraContext(loader, Callbacks()), cell_config(config)


@pytest.fixture(scope="module")
def hydra() -> tuple[HydraContext, DictConfig]:
    return load("scale=smoke", "hydra.verbose=false")


def alone(hydra: tuple[HydraContext, DictConfig], overrides: tuple[str, ...]) -> Experiment:
    context, config = hydra
    return parse(context.config_loader.load_sweep_config(config, list(overrides)))


def words(compose: Any, overrides: tuple[str, ...]) -> str:
    with pytest.raises((UserError, HydraException, OmegaConfBaseException)) as error:
        compose(overrides)
    return str(error.value) if error.errisinstance(UserError) else explain_composition(error.value)


def test_cells_composed_together_are_the_cells_composed_alone(hydra: tuple[HydraContext, DictConfig]) -> None:
    composer, expected = Composer(*hydra), {overrides: alone(hydra, overrides) for overrides in CELLS}
    for overrides in [*CELLS, *reversed(CELLS)]:  # what a cell sets is not left to the next one
        assert composer(overrides) == expected[overrides]
        assert composer(overrides).id == expected[overrides].id


def test_mistakes_are_told_in_the_same_words(hydra: tuple[HydraContext, DictConfig]) -> None:
    composer = Composer(*hydra)
    right = composer(CELLS[0])
    for overrides in MISTAKES:
        expected = words(lambda given: alone(hydra, given), overrides)
        assert words(composer, overrides) == expected
        assert composer(CELLS[0]) == right


def test_each_choice_of_files_is_read_once(
    hydra: tuple[HydraContext, DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    context, config = hydra
    real, calls = context.config_loader.load_sweep_config, []
    monkeypatch.setattr(
        context.config_loader,
        "load_sweep_config",
        lambda config, overrides: calls.append(overrides) or real(config, overrides),
    )
    composer = Composer(context, config)
    grid = [
        composer((attack, f"fl.batch_size={size}", f"seed={seed}"))
        for attack, size, seed in product(["attack=dlg", "attack=ig"], range(1, 4), range(4))
    ]
    assert calls == [["attack=dlg"], ["attack=ig"]]
    assert len({experiment.id for experiment in grid}) == 24


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.stem for path in TABLES.glob("*.yaml")))
def test_whole_tables_have_the_ids_of_their_cells(name: str) -> None:
    context, config = load(f"table={name}")
    node = cast(dict[str, Any], OmegaConf.to_container(config.hydra.sweeper, resolve=True))
    composer = Composer(context, config)
    for cell in spec.parse(node).cells("digits32", "paper", [], None):
        together, by_itself = composer(cell.overrides), alone((context, config), cell.overrides)
        assert together == by_itself
        assert together.id == by_itself.id
