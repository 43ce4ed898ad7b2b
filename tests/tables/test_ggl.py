"""GGL's Tables 1 and 2 and Figures 3 and 5 to 9: every cell composes, and says what the paper says."""

import dataclasses
from functools import partial
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from harness.base.schema import EXPERIMENTS
from harness.config.composition import compose
from harness.priors.untrained import Untrained
from harness.priors.wgan_gp import WGANGP
from harness.runs.choice import choose
from harness.tables.reference import published
from harness.tables.spec import Table, parse
from tests.command import command_line

PUBLISHED = ["ggl_losses", "ggl_optimizers", "ggl_soteria"]
NAMES = [*PUBLISHED, "ggl_combined", "ggl_landscape", "ggl_unseen"]

CHOICES = [("smoke", "digits32"), ("small", "digits32"), ("small", "tile_sheets"), ("medium", "tile_sheets")]


def read(name: str) -> Table:
    config = OmegaConf.load(EXPERIMENTS / "table" / f"{name}.yaml")
    return parse(OmegaConf.to_container(config.hydra.sweeper))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("scale", "dataset"), [*CHOICES, ("paper", "celeba32")])
def test_every_row_composes_to_a_run_of_its_own(name: str, scale: str, dataset: str) -> None:
    table = read(name)
    column, *_ = table.columns
    cells = [cell for cell in table.cells(dataset, scale, seeds=[0]) if cell.column == column]
    experiments = [compose(*cell.overrides) for cell in cells]
    assert len({experiment.id for experiment in experiments}) == len(table.rows)
    assert not any(experiment.knowledge.labels for experiment in experiments)


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_number_stands_beside_a_cell(name: str) -> None:
    table = read(name)
    numbers = published(table, "digits32")
    assert {row for row, _, _ in numbers} == set(table.rows)
    assert {column for _, column, _ in numbers} <= set(table.columns)
    assert {metric for _, _, metric in numbers} <= set(table.metrics)


def test_losses_are_the_papers_four_pairs() -> None:
    table = read("ggl_losses")
    attacks = {cell.row: compose(*cell.overrides).attack for cell in table.cells("celeba32", "paper")}
    found = {row: (a.distance, a.kl > 0, a.norm > 0, a.steps) for row, a in attacks.items()}  # type: ignore[attr-defined]
    assert found == {
        "L2 + KL divergence": ("l2", True, False, 2500),
        "Cosine + KL divergence": ("cosine", True, False, 2500),
        "L2 + norm": ("l2", False, True, 2500),
        "Cosine + norm": ("cosine", False, True, 2500),
    }


def test_optimisers_attack_one_image_from_every_seed() -> None:
    table = read("ggl_optimizers")
    experiments = [compose(*c.overrides) for c in table.cells("digits32", "small") if c.row == "Adam"]
    assert [experiment.seed for experiment in experiments] == list(range(5))
    assert {(experiment.order, experiment.trials) for experiment in experiments} == {("sequential", 1)}


def test_imagenet_is_searched_as_the_authors_do() -> None:
    table = read("ggl_optimizers")
    cells = table.cells("imagenet", "paper", seeds=[0])
    adam, cma = (compose(*c.overrides).attack for c in cells if c.row in ("Adam", "CMA-ES"))
    assert (adam.optimizer.signed, adam.optimizer.schedule) == (False, "ggl_imagenet")  # type: ignore[attr-defined]
    assert (cma.squash, cma.start) == (True, "uniform")  # type: ignore[attr-defined]


@pytest.mark.parametrize(("scale", "dataset"), [*CHOICES, ("paper", "celeba32"), ("small", "cifar10")])
def test_generators_differ_in_what_they_have_seen_of_the_attacked_class(scale: str, dataset: str) -> None:
    cells = read("ggl_unseen").cells(dataset, scale, seeds=[0])
    experiments = [compose(*cell.overrides) for cell in cells if cell.column == "Soteria"]
    seen, unseen, untrained = (experiment.prior for experiment in experiments)
    assert {experiment.of_class for experiment in experiments} == {1}
    assert dataclasses.replace(seen, withheld=1) == unseen  # type: ignore[call-arg]
    assert isinstance(seen, WGANGP)
    assert isinstance(untrained, Untrained)
    assert (untrained.latent, untrained.base, untrained.kernel) == (seen.latent, seen.base, seen.kernel)


@pytest.mark.parametrize("scale", ["smoke", "small", "medium"])
def test_the_embedded_digits_have_as_many_images_of_the_class(scale: str) -> None:
    experiment = compose(*read("ggl_unseen").cells("digits32", scale, seeds=[0])[0].overrides)
    chosen = choose(experiment, experiment.dataset.load("attack", None))
    assert len(chosen) >= experiment.trials == (1 if scale == "smoke" else 10)


def test_ggl_alone_knows_of_soteria() -> None:
    table = read("ggl_soteria")
    cells = [cell for cell in table.cells("digits32", "small") if cell.column == "Soteria 60 %"]
    experiments = {cell.row: compose(*cell.overrides) for cell in cells}
    assert [row for row, experiment in experiments.items() if experiment.knowledge.defense] == ["GGL"]
    assert {experiment.defense.percent for experiment in experiments.values()} == {60}  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["ggl_combined", "ggl_landscape"])
@pytest.mark.parametrize(("scale", "bound"), [("small", 1.0), ("paper", 4.0)])
def test_the_combination_clips_as_clipping_alone_and_then_adds_the_noise(
    name: str, scale: str, bound: float
) -> None:
    cells = [cell for cell in read(name).cells("digits32", scale) if cell.row == "GGL"]
    found = {cell.column: compose(*cell.overrides) for cell in cells}
    first, then = found["Clipping and noise"].defense.defenses  # type: ignore[attr-defined]
    assert (first, then) == (found["Clipping"].defense, found["Additive noise"].defense)
    assert (first.bound, then.sigma) == (bound, 0.1)


def test_landscapes_are_of_runs_that_other_tables_have() -> None:
    tables = {
        name: read(name).cells("tile_sheets", "small") for name in ("ggl_landscape", "ggl_combined", "table3")
    }
    ids = {
        name: {cell.column: compose(*cell.overrides).id for cell in cells if cell.row == "GGL"}
        for name, cells in tables.items()
    }
    shown = ids["ggl_landscape"]
    for other in ("ggl_combined", "table3"):
        shared = shown.keys() & ids[other].keys()
        assert len(shared) >= 3
        assert {column: shown[column] for column in shared} == {
            column: ids[other][column] for column in shared
        }


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_table_is_made_at_scale_smoke(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = partial(command_line(tmp_path, monkeypatch), f"table={name}", "scale=smoke", "logger=none")
    assert main() == 0
    table, folder = read(name), tmp_path / "results" / name / "digits32-smoke"
    lines = (folder / "cells.csv").read_text().splitlines()
    assert len(lines) == 1 + len(table.rows) * len(table.columns) * len(table.metrics)
    assert all((folder / f"{plot.name}.png").is_file() for plot in table.plots)
    assert (folder / "gallery.png").is_file()
