"""The convolutional architectures and the priors that need no training."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core import UserError, derive_seed
from harness.priors.networks import ConvolutionalGenerator, critic, estimate_statistics, stages
from harness.priors.none import NoPrior
from harness.priors.untrained import Untrained


class Sized:
    """As much of a data set as an architecture asks for."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape


@settings(max_examples=20, deadline=None)
@given(
    channels=st.sampled_from([1, 3]),
    height=st.sampled_from([8, 28, 32, 48]),
    width=st.sampled_from([8, 28, 32, 64]),
    kernel=st.sampled_from([2, 4]),
)
def test_shapes_fit_for_every_size(channels: int, height: int, width: int, kernel: int) -> None:
    shape = (channels, height, width)
    generator = ConvolutionalGenerator(shape, 4, 16, kernel).eval()
    images = generator(torch.randn(2, 4))
    assert images.shape == (2, *shape)
    assert 0 <= images.min() <= images.max() <= 1
    assert critic(shape, 4)(images).shape == (2, 1)


@pytest.mark.parametrize(("side", "count"), [(8, 1), (28, 2), (32, 3), (64, 4), (224, 5)])
def test_stages(side: int, count: int) -> None:
    assert stages((3, side, side)) == count


@pytest.mark.parametrize("shape", [(3, 31, 32), (3, 6, 6), (1, 32, 31)])
def test_sides_that_do_not_halve_are_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(UserError, match="even sides"):
        stages(shape)


def test_base_too_small_for_the_image_is_refused() -> None:
    with pytest.raises(UserError, match="base=8"):
        ConvolutionalGenerator((3, 256, 256), 4, 8, 2)


def test_statistics_are_those_of_the_weights() -> None:
    """After estimation eval mode normalises as train mode does on a large batch."""
    torch.manual_seed(0)
    generator = ConvolutionalGenerator((1, 16, 16), 4, 16, 4)
    estimate_statistics(generator, torch.Generator().manual_seed(0))
    z = torch.randn(4096, 4)
    after = generator(z)
    assert not generator.training
    assert (after - generator.train()(z)).abs().mean() < 0.01


def test_untrained_depends_on_the_seed_alone() -> None:
    dataset = Sized((1, 16, 16))
    prior = Untrained(latent=4, base=16)
    z = torch.randn(6, 4)
    images = [prior.generator(dataset, None, "/nonexistent", seed)(z) for seed in (0, 0, 1)]
    assert torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])
    assert images[0].std(0).mean() > 0.01, "images do not depend on z"


def test_untrained_weights_are_where_training_starts() -> None:
    from harness.priors.untrained import initial_generator

    dataset = Sized((1, 16, 16))
    start = initial_generator(dataset, 4, 16, 2, 3)
    control = Untrained(latent=4, base=16).generator(dataset, None, "", 3)
    assert all(torch.equal(a, b) for a, b in zip(start.parameters(), control.parameters(), strict=True))
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed("prior weights", 3))
        assert torch.equal(torch.nn.Linear(4, 16 * 16).weight, start.network[0].weight)


def test_no_prior() -> None:
    assert NoPrior().generator(Sized((1, 8, 8)), None, "", 0) is None
