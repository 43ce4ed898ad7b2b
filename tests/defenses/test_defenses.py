"""Defences, and what an attacker who knows their kind reads off one update."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core import Batch, Classifier, Defense, Observation, Params, generator
from harness.defenses.augmentation import Augmentation
from harness.defenses.clipping import Clipping
from harness.defenses.composed import Composed
from harness.defenses.noise import Noise
from harness.defenses.none import NoDefense
from harness.defenses.soteria import Soteria, sensitivity
from harness.defenses.sparsification import Sparsification, percentile
from harness.models.head import head_parameters
from tests.conftest import Observe

DEFENSES = [
    NoDefense(),
    Augmentation(),
    Noise(sigma=0.1),
    Clipping(bound=0.01),
    Clipping(bound=0.01, scope="layer"),
    Sparsification(percent=90),
    Soteria(percent=50),
    Composed(defenses=[Clipping(bound=0.01), Noise(sigma=0.1)]),
]


def norm(update: Params) -> float:
    return math.sqrt(sum(float(g.square().sum()) for g in update.values()))


def defend(defense: Defense, observation: Observation, batch: Batch) -> Params:
    model, params, update = observation.model, observation.params, observation.update
    return defense.on_update(update, model, params, batch, generator("noise"))


def received(observation: Observation, update: Params) -> Observation:
    from dataclasses import replace

    return replace(observation, update=update)


@pytest.mark.parametrize("defense", DEFENSES, ids=repr)
def test_the_inputs_are_left_as_they_were(defense: Defense, observe: Observe, batch: Batch) -> None:
    observation = observe(batch)
    before = {name: g.clone() for name, g in observation.update.items()}
    images = batch.x.clone()
    sent = defend(defense, observation, batch)
    assert list(sent) == list(before)
    assert all(torch.equal(observation.update[name], g) for name, g in before.items())
    assert torch.equal(batch.x, images)


def test_noise_has_its_sigma_and_follows_the_generator(observe: Observe, batch: Batch) -> None:
    observation = observe(batch)
    sent = defend(Noise(sigma=0.5), observation, batch)
    again = defend(Noise(sigma=0.5), observation, batch)
    noise = torch.cat([(sent[name] - g).flatten() for name, g in observation.update.items()])
    assert all(torch.equal(sent[name], again[name]) for name in sent)
    assert float(noise.std()) == pytest.approx(0.5, rel=0.1)


def test_global_clipping_shortens_to_the_bound_and_keeps_the_direction(
    observe: Observe, batch: Batch
) -> None:
    observation = observe(batch)
    bound = norm(observation.update) / 3
    sent = defend(Clipping(bound=bound), observation, batch)
    assert norm(sent) == pytest.approx(bound, rel=1e-4)
    factor = norm(sent) / norm(observation.update)
    for name, g in observation.update.items():
        torch.testing.assert_close(sent[name], g * factor)
    untouched = defend(Clipping(bound=10 * norm(observation.update)), observation, batch)
    assert all(torch.equal(untouched[name], g) for name, g in observation.update.items())


def test_layer_clipping_bounds_every_tensor(observe: Observe, batch: Batch) -> None:
    sent = defend(Clipping(bound=0.01, scope="layer"), observe(batch), batch)
    assert all(float(g.norm()) <= 0.01 + 1e-9 for g in sent.values())


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_the_clipping_bound_is_read_off_the_update(scope: str, observe: Observe, batch: Batch) -> None:
    observation = observe(batch)
    defense = Clipping(bound=0.02, scope=scope)  # type: ignore[arg-type]
    sent = defend(defense, observation, batch)
    (adaptation,) = defense.adaptations()
    estimate = adaptation.estimate(received(observation, sent))
    clipped = [name for name in sent if not torch.equal(sent[name], observation.update[name])]
    assert clipped
    for name in clipped:
        assert float(estimate[name]) == pytest.approx(0.02, rel=1e-3)
    trial = adaptation.apply(observation.update, estimate)
    for name in sent:
        torch.testing.assert_close(trial[name], sent[name], rtol=1e-3, atol=1e-9)


@given(
    values=st.lists(st.floats(0, 10, width=32), min_size=1, max_size=40),
    percent=st.floats(0, 100),
)
@settings(max_examples=50, deadline=None)
def test_percentile_is_numpys(values: list[float], percent: float) -> None:
    found = percentile(torch.tensor(values, dtype=torch.float64), torch.tensor(percent, dtype=torch.float64))
    assert float(found) == pytest.approx(float(np.percentile(values, percent)), abs=1e-9)


@pytest.mark.parametrize("percent", [50.0, 90.0])
def test_sparsification_keeps_the_largest_and_its_share_is_read_off(
    percent: float, observe: Observe, batch: Batch
) -> None:
    observation = observe(batch)
    defense = Sparsification(percent=percent)
    sent = defend(defense, observation, batch)
    for name, g in observation.update.items():
        kept = sent[name] != 0
        assert int(kept.sum()) == pytest.approx(g.numel() * (1 - percent / 100), abs=1)
        assert torch.equal(sent[name][kept], g[kept])
        if bool(kept.any()) and not bool(kept.all()):
            assert float(g[kept].abs().min()) >= float(g[~kept].abs().max())
    (adaptation,) = defense.adaptations()
    estimate = adaptation.estimate(received(observation, sent))
    assert float(estimate["percent"]) == pytest.approx(percent, abs=1.5)


def test_soteria_prunes_what_moves_the_input_least_per_unit(observe: Observe, batch: Batch) -> None:
    observation = observe(Batch(batch.x[:1], batch.y[:1]))
    weight, _ = head_parameters(observation.model)
    image = batch.x[:1].clone().requires_grad_()
    representation, slope = sensitivity(observation.model, observation.params, image.detach(), chunk=5)

    from harness.models.head import head_input

    features = head_input(observation.model, observation.params, image)
    for feature in range(features.shape[1]):
        (brute,) = torch.autograd.grad(features[0, feature], image, retain_graph=True)
        assert float(slope[0, feature]) == pytest.approx(float(brute.norm()), rel=1e-9)
    sent = defend(Soteria(percent=50), observation, Batch(batch.x[:1], batch.y[:1]))
    pruned = (sent[weight] == 0).all(dim=0)
    score = slope[0] / representation[0].abs()
    assert int(pruned.sum()) == 6
    assert float(score[pruned].max()) < float(score[~pruned].min())
    assert all(torch.equal(sent[name], g) for name, g in observation.update.items() if name != weight)
    (adaptation,) = Soteria().adaptations()
    estimate = adaptation.estimate(received(observation, sent))
    assert torch.equal(estimate[weight] == 0, pruned)
    trial = adaptation.apply(observation.update, estimate)
    assert all(torch.equal(trial[name], sent[name]) for name in sent)


def test_dead_features_are_pruned_first() -> None:
    """With GGL's epsilon a feature that is 0 and has no gradient scores 0, below every live one."""
    from torch import nn

    from harness.core import Normalize

    first, second = nn.Linear(4, 6), nn.Linear(6, 2)
    with torch.no_grad():
        first.weight[:2] = 0
        first.bias[:2] = -1
        first.weight[2:].abs_()
        first.bias[2:] = 0.1
    model = Classifier(Normalize((0.0,), (1.0,)), nn.Sequential(nn.Flatten(), first, nn.ReLU(), second))
    model.requires_grad_(False)
    params = dict(model.named_parameters())
    update = {name: torch.ones_like(value) for name, value in params.items()}
    image = Batch(torch.rand(1, 1, 2, 2, generator=generator("x")), torch.tensor([0]))
    sent = Soteria(percent=34).on_update(update, model, params, image, generator("y"))
    assert (sent["network.3.weight"] == 0).all(dim=0).tolist() == [True, True, False, False, False, False]


def test_a_list_of_defences_acts_in_order(observe: Observe, batch: Batch) -> None:
    observation = observe(batch)
    both = Composed(defenses=[Clipping(bound=1e-6), Sparsification(percent=50)])
    sent = defend(both, observation, batch)
    assert norm(sent) <= 1e-6
    assert len(both.adaptations()) == 2
    zeros = sum(int((g == 0).sum()) for g in sent.values()) / sum(g.numel() for g in sent.values())
    assert zeros == pytest.approx(0.5, abs=0.05)


def test_augmentation_shifts_within_its_padding_and_mirrors_half() -> None:
    batch = Batch(torch.rand(200, 2, 4, 4, generator=generator("images")), torch.arange(200))
    assert torch.equal(Augmentation(padding=0, mirror=False).on_batch(batch, generator(0)).x, batch.x)
    mirrored = Augmentation(padding=0).on_batch(batch, generator(0)).x
    turned = (mirrored == batch.x.flip(-1)).flatten(1).all(1)
    assert 70 < int(turned.sum()) < 130
    assert torch.equal(mirrored[~turned], batch.x[~turned])
    moved = Augmentation(padding=1, mirror=False).on_batch(batch, generator(0))
    padded = torch.nn.functional.pad(batch.x, [1] * 4)
    windows = [padded[:, :, row : row + 4, column : column + 4] for row in range(3) for column in range(3)]
    found = torch.stack([(moved.x == window).flatten(1).all(1) for window in windows])
    assert bool((found.sum(0) == 1).all())
    assert int(found.sum(1).min()) > 5
    assert torch.equal(moved.y, batch.y)
