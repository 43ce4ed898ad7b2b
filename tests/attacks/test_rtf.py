"""Robbing the Fed: what is read off the imprint block, and how much can be."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.attacks.rtf import RTF, expected_alone
from harness.config.composition import compose
from harness.core import (
    Batch,
    Classifier,
    Dataset,
    Images,
    Observation,
    Problem,
    Protocol,
    Reconstruction,
    Shape,
    Split,
    Unreadable,
    UserError,
    component,
)
from harness.federated.fedavg import FedAvg
from harness.federated.fedsgd import FedSGD
from harness.models.imprint import Imprint, imprint_block
from harness.models.mlp import MLP

SHAPE = (3, 6, 6)


class Blobs(Images):
    """Noise of different brightness."""

    def __init__(self, count: int, seed: int) -> None:
        rng = torch.Generator().manual_seed(seed)
        brightness, noise = (
            torch.rand(count, 1, 1, 1, generator=rng),
            torch.rand(count, *SHAPE, generator=rng),
        )
        self.x = 0.8 * brightness + 0.2 * noise
        self.indices = list(range(count))
        self.labels = torch.randint(10, (count,), generator=rng)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.x[row], int(self.labels[row])


@component
class Brightness(Dataset):
    """A data set of noise."""

    @property
    def shape(self) -> Shape:
        return SHAPE

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple("0123456789")

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return (0.5,) * 3, (0.25,) * 3

    def load(self, split: Split, root: str | None) -> Images:
        return Blobs(500, seed=9)


def build(**options: Any) -> Classifier:
    model = Imprint(**{"base": MLP(hidden=16), "normalize": "symmetric", "bins": 20} | options)
    return model.build(Brightness(), seed=3).double()


def batch_of(count: int, seed: int = 1) -> Batch:
    images = Blobs(count, seed)
    return Batch(images.x.double(), images.labels)


def observe(model: Classifier, batch: Batch, protocol: Protocol, n: int | None = None) -> Observation:
    params = {name: value.detach() for name, value in model.named_parameters()}
    order = protocol.order(torch.Generator().manual_seed(4))
    return Observation(
        model=model,
        params=params,
        update=protocol.update(model, params, batch, order),
        protocol=protocol,
        n=n or len(batch),
        trained_on=len(batch),
        shape=SHAPE,
        classes=10,
    )


def attack(observation: Observation) -> Reconstruction:
    (found,) = RTF()([Problem(0, observation, seed=0)])
    return found


def recovered(found: Reconstruction, truth: Batch) -> set[int]:
    """The images of the truth that were found exactly: PSNR above 60 dB."""
    error = (truth.x[:, None] - found.x).square().flatten(2).mean(2).amin(1)
    return set((error < 1e-6).nonzero().flatten().tolist())


def rows_on(model: Classifier, x: Tensor) -> Tensor:
    """Which rows each image switches on [n, bins]."""
    measured: Tensor = imprint_block(model)[1].measure(model.normalize(x).flatten(1))
    return measured > 0


def alone(model: Classifier, x: Tensor) -> set[int]:
    """The images with a bin of their own, from which rows they switch on."""
    bins = rows_on(model, x).sum(1).tolist()
    return {image for image, place in enumerate(bins) if bins.count(place) == 1}


@pytest.mark.parametrize("activation", ["relu", "sparse"])
@pytest.mark.parametrize("functional", ["mean", "fourier", "projection"])
@pytest.mark.parametrize("gain", [1.0, 1e-3])
def test_exactly_the_images_alone_in_a_bin_are_recovered(
    activation: str, functional: str, gain: float
) -> None:
    model = build(activation=activation, functional=functional, gain=gain)
    truth = batch_of(12)
    expected = alone(model, truth.x)
    assert 2 <= len(expected) < 12
    assert recovered(attack(observe(model, truth, FedSGD(batch_size=12))), truth) == expected


def test_one_local_step_of_fedavg_is_as_good_as_a_gradient_in_every_scaling() -> None:
    model, truth = build(), batch_of(12)
    for scaling in ("raw", "per_step", "per_lr"):
        protocol = FedAvg(examples_per_client=12, batch_size=12, lr=0.01, scaling=scaling)
        assert recovered(attack(observe(model, truth, protocol)), truth) == alone(model, truth.x)


def test_small_steps_leave_the_images_recognisable_over_many_of_them() -> None:
    """The rows drift while the client trains; at a small rate that matters little."""
    model, truth = build(gain=1.0), batch_of(12)
    protocol = FedAvg(examples_per_client=12, batch_size=4, local_epochs=2, lr=1e-9)
    found = recovered(attack(observe(model, truth, protocol)), truth)
    assert len(found) >= len(alone(model, truth.x)) // 2


def test_edges_on_public_images_spread_images_evenly_over_the_bins() -> None:
    x = batch_of(2000, seed=7).x
    models = [build(edges=edges) for edges in ("public", "laplace", "gaussian")]
    calibrated, *assumed = [int(rows_on(model, x).sum(1).bincount().max()) for model in models]
    assert calibrated < 1.7 * 2000 / 20 < min(assumed)


def test_places_that_are_not_filled_are_grey_and_counted() -> None:
    model, truth = build(), batch_of(12)
    found = attack(observe(model, truth, FedSGD(batch_size=12)))
    count = int(found.trace[0]["returned"])
    assert count < 12
    assert bool((found.x[count:] == 0.5).all())
    assert not bool((found.x[:count] == 0.5).all())
    assert found.y.tolist() == [-1] * 12


def test_of_more_candidates_than_places_those_in_range_are_returned() -> None:
    model, truth = build(bins=60), batch_of(12)
    observation = observe(model, truth, FedSGD(batch_size=12), n=3)
    found = attack(observation)
    assert found.trace[0]["returned"] == 3 < found.trace[0]["candidates"]
    assert len(recovered(found, truth)) >= 2


@given(st.integers(1, 40), st.integers(2, 60))
@settings(max_examples=20, deadline=None)
def test_the_expected_number_alone_agrees_with_simulation(images: int, bins: int) -> None:
    rng = torch.Generator().manual_seed(images * 100 + bins)
    drawn = torch.randint(bins, (4000, images), generator=rng)
    occupancy = torch.zeros(4000, bins, dtype=torch.int64).scatter_add_(1, drawn, torch.ones_like(drawn))
    counts = (occupancy == 1).sum(1).double()
    error = 5 * float(counts.std(unbiased=False)) / 4000**0.5 + 1e-2
    assert abs(float(counts.mean()) - expected_alone(images, bins)) <= error


def test_of_no_images_none_is_expected_alone() -> None:
    assert expected_alone(0, 5) == 0


def test_an_exploded_update_is_unreadable() -> None:
    observation = observe(build(), batch_of(4), FedSGD(batch_size=4))
    broken = {name: value * float("nan") for name, value in observation.update.items()}
    with pytest.raises(Unreadable):
        RTF().reconstruct(replace(observation, update=broken), torch.Generator())


def test_a_network_without_a_block_is_refused_before_anything_runs() -> None:
    with pytest.raises(UserError, match="model=imprint_resnet18"):
        compose("attack=rtf", "model=cnn")
