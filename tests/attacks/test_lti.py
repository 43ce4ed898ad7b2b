"""LTI: what it learns from, what it refuses, and that it finds images."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.attacks.lti import LTI
from harness.config.composition import compose
from harness.config.experiment import Experiment
from harness.core import Knowledge, UserError
from harness.datasets.digits import Digits32
from harness.labels.analytic import Analytic
from harness.runs.clients import open_targets

SMALL = LTI(labels=Analytic(), compression="projection", features=60, hidden=32, lr=1e-3, steps=2, updates=40)
Compose = Callable[..., Experiment]


@pytest.fixture
def composed(tmp_path: Path) -> Compose:
    def make(*changes: str) -> Experiment:
        small = ("features=60", "hidden=32", "updates=40", "steps=2")
        own = [f"attack.{each}" for each in small]
        given = ("attack=lti_small", "model.fresh=false", "knowledge.public=true", f"paths.runs={tmp_path}")
        return compose(*given, *own, *changes)

    return make


def test_what_it_learns_never_depends_on_the_attacked(composed: Compose, tmp_path: Path) -> None:
    """Of two clients the same is learnt, once."""
    targets = open_targets(composed("trials=2"))
    first, second = (targets.client(place).problem.observation.knowledge.learned for place in (0, 1))
    assert first is not None
    assert second is not None
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())
    assert len(list((tmp_path / "learned").glob("LTI-*/inverter.safetensors"))) == 1


def test_no_attacked_image_is_public() -> None:
    public, attacked = (Digits32().load(split, None) for split in ("public", "attack"))
    assert set(public.indices).isdisjoint(attacked.indices)


def test_no_image_is_both_learnt_from_and_kept_apart() -> None:
    for images, updates in ((1, None), (1, 40), (4, 200)):
        apart, rows = replace(SMALL, updates=updates).rows(100, images)
        assert set(apart.flatten().tolist()).isdisjoint(rows.flatten().tolist())
        assert len(rows) + len(apart) == (updates or 100)
    assert len(set(replace(SMALL, updates=None).rows(100, 1)[1].flatten().tolist())) == 90


def test_too_few_images_are_a_mistake_of_the_user() -> None:
    with pytest.raises(UserError, match="too few public images"):
        SMALL.rows(30, 1)


def test_another_network_or_setting_has_another_inverter(composed: Compose, tmp_path: Path) -> None:
    for change in ("seed=0", "model.seed=5", "attack.hidden=16", "fl.batch_size=2"):
        open_targets(composed(change)).client(0)
    assert len(list((tmp_path / "learned").glob("LTI-*"))) == 4


def test_it_learns(composed: Compose) -> None:
    """More passes over more updates: a smaller error on the attacked image."""

    def error(*changes: str) -> float:
        targets = open_targets(composed("trials=3", *changes))
        attack, clients = targets.experiment.attack, [targets.client(place) for place in range(3)]
        found = {r.problem: r for r in attack(client.problem for client in clients)}
        return sum(float((found[c.problem.id].x - c.truth.x).square().mean()) for c in clients) / 3

    learnt = error("attack.updates=600", "attack.steps=12", "attack.hidden=64", "attack.batch_size=32")
    assert learnt < 0.8 * error("attack.steps=1")


def test_what_can_not_be_learnt_is_refused(composed: Compose) -> None:
    with pytest.raises(UserError, match=r"say knowledge.public=true"):
        composed("knowledge.public=false")
    with pytest.raises(UserError, match=r"say model.fresh=false"):
        composed("model.fresh=true")
    targets = open_targets(composed("defense=clipping", "knowledge.defense=true"))
    with pytest.raises(UserError, match=r"say knowledge.defense=false"):
        targets.client(0)


def test_a_control_learns_no_more_than_means(composed: Compose, tmp_path: Path) -> None:
    targets = open_targets(
        compose("attack=public_class_mean", "knowledge.public=true", f"paths.runs={tmp_path}")
    )
    client = targets.client(0)
    (found,) = targets.experiment.attack([client.problem])
    public = Digits32().load("public", None)
    own = [public[row][0] for row in range(len(public)) if int(public.labels[row]) == int(client.truth.y[0])]
    torch.testing.assert_close(found.x[0], torch.stack(own).mean(0))
    assert Knowledge().learned is None
