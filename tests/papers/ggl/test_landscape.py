"""Landscapes: what was found is in their middle, they are drawn from their file, and computed once."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.base.rows import read_csv
from harness.config.composition import compose
from harness.core import UserError, generator
from harness.papers.ggl import landscape
from harness.papers.ggl.landscape import LossLandscapes
from harness.papers.ggl.latents import latents, searched
from harness.papers.ggl.plane import LOSSES, MATCHING, OBJECTIVE, Distance, Landscape, plane, steps, survey
from harness.papers.ggl.words import scored
from harness.runs.clients import open_targets
from harness.runs.run import run
from harness.store.records import Store
from harness.tables.layout import Cell
from harness.tables.measurement import Outcome

TINY = (
    *("attack=ggl_cma", "attack.steps=3", "attack.per_round=4", "attack.kl=0.01", "prior=untrained"),
    *("prior.latent=6", "prior.base=8", "model=lenet", "fl=fedsgd", "dataset=digits32", "logger=none"),
    *("trials=2", "scale=small", "report=last"),
)
METRICS = {"mse_ggl": "MSE-I", "ssim": "SSIM", "lpips_vgg": "LPIPS"}
SIMILAR = Distance("ssim", "SSIM", higher_is_better=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def outcome(store: Store) -> Outcome:
    experiment = compose(*TINY, f"paths.runs={store.root}")
    record = run(experiment)
    return Outcome(Cell("GGL", "Clipping and noise", 0, ()), experiment.id, {}, record, None, experiment)


@pytest.fixture
def report() -> LossLandscapes:
    return LossLandscapes(row="GGL", points={"small": 3}, metrics=METRICS, images=2)


def bowl(side: int, low: int) -> Landscape:
    """Squared distances from a place, which are the highest there by a second name."""
    away = [
        float((low % side - at % side) ** 2 + (low // side - at // side) ** 2) for at in range(side * side)
    ]
    return Landscape(7, side, {MATCHING: away, OBJECTIVE: away, "ssim": [-value for value in away]})


def test_what_was_found_is_in_the_middle_of_a_plane() -> None:
    z = torch.tensor([[3.0, 0.0, 4.0]])
    found = plane(z, 5, generator("plane"))
    assert torch.equal(found[2, 2], z)
    a, b = found[2, 4] - z, found[4, 2] - z
    assert float(a.norm()) == pytest.approx(5)
    assert float(b.norm()) == pytest.approx(5)
    assert float((a * b).sum()) == pytest.approx(0, abs=1e-5)
    torch.testing.assert_close(found[0, 3], z - b + 0.5 * a)


def test_places_are_told_by_their_steps() -> None:
    assert steps(5) == [-1, -0.5, 0, 0.5, 1]
    shown = bowl(5, 8)
    assert shown.at(shown.best(LOSSES[0])) == shown.at(shown.best(SIMILAR)) == (0.5, -0.5)
    assert shown.at(shown.middle) == (0, 0)
    assert shown.valleys() == 1
    assert bowl(5, 4).valleys() == 0, "at the edge nobody knows"
    assert scored(shown, SIMILAR) == (-2, 0, 0)


def test_the_middle_has_the_loss_and_the_scores_of_the_run(
    store: Store, outcome: Outcome, report: LossLandscapes, tmp_path: Path
) -> None:
    report.write("digits32", [outcome], store, tmp_path)
    lines = read_csv(tmp_path / "landscape-clipping-and-noise.csv")
    assert outcome.record is not None
    for row in outcome.record.rows:
        own = [line for line in lines if int(line["target"]) == row["target"]]
        (middle,) = (line for line in own if (line["a"], line["b"]) == ("0", "0"))
        assert len(own) == 9
        assert float(middle["objective"]) == pytest.approx(row["loss"], rel=1e-4)
        assert float(middle["matching"]) < float(middle["objective"])
        assert float(middle["mse_ggl"]) == pytest.approx(row["mse_ggl"], rel=1e-4)
        assert float(middle["ssim"]) == pytest.approx(row["ssim"], rel=1e-4)
    assert "lpips_vgg" not in lines[0], "its weights are not there"
    text = (tmp_path / "landscape.md").read_text()
    assert "| Clipping and noise | 2 |" in text
    assert "where MSE-I is " in text
    assert (tmp_path / "landscape.png").stat().st_size > 5000


def test_a_landscape_is_computed_once(
    store: Store,
    outcome: Outcome,
    report: LossLandscapes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    monkeypatch.setattr(landscape, "survey", lambda *given: asked.append(given) or survey(*given))
    report.write("digits32", [outcome], store, tmp_path)
    before = (tmp_path / "landscape.md").read_text()
    report.write("digits32", [outcome], store, tmp_path)
    assert (len(asked), (tmp_path / "landscape.md").read_text()) == (2, before)
    for other in (replace(report, points={"small": 5}), replace(report, images=1)):
        other.write("digits32", [outcome], store, tmp_path)
    assert len(asked) == 2 + 2 + 1


def test_a_run_that_kept_no_latent_vectors_is_searched_once_more(store: Store, outcome: Outcome) -> None:
    assert outcome.experiment is not None
    clients = [open_targets(outcome.experiment)[problem] for problem in (0, 1)]
    kept = latents(outcome, store, clients)
    assert kept[0].shape == (1, 6)
    for one, other in zip(kept, searched(outcome.experiment, clients), strict=True):
        assert torch.equal(one, other)
    images = outcome.images(store)
    assert images["latent"].shape == (2, 6)
    assert not math.isnan(float(images["latent"].sum()))


def test_only_ggl_on_one_image_has_a_landscape(
    store: Store, outcome: Outcome, report: LossLandscapes, tmp_path: Path
) -> None:
    dlg = compose("attack=dlg", "model=lenet", "dataset=digits32", "logger=none")
    with pytest.raises(UserError, match="is no GGL on one image"):
        report.write("digits32", [replace(outcome, experiment=dlg)], store, tmp_path)
    with pytest.raises(UserError, match="'psnr' is none of the metrics"):
        replace(report, metrics={"psnr": "PSNR"}).write("digits32", [outcome], store, tmp_path)


def test_nothing_is_written_of_no_run(
    store: Store, outcome: Outcome, report: LossLandscapes, tmp_path: Path
) -> None:
    report.write("digits32", [replace(outcome, record=None)], store, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("points", [1, 4])
def test_an_even_grid_has_no_middle(points: int) -> None:
    with pytest.raises(ValueError, match="should be odd"):
        LossLandscapes(row="GGL", points={"smoke": points}, metrics=METRICS)
