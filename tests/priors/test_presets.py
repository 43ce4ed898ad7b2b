"""The presets in conf/prior build, and the paper's is the class's own default."""

from pathlib import Path

import pytest
import torch

from harness.base.components import build as made
from harness.config.composition import part
from harness.core import Prior
from harness.priors.networks import ConvolutionalGenerator, critic
from harness.priors.wgan_gp import WGANGP

PRESETS = sorted((Path(__file__).parents[2] / "conf" / "prior").glob("*.yaml"))


def build(path: Path) -> Prior:
    prior: Prior = made("prior", part("prior", path.stem))
    return prior


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_preset_builds(path: Path) -> None:
    prior = build(path)
    assert isinstance(prior, Prior)
    assert hash(prior) == hash(build(path)), "a component is a value"


def test_paper_preset_is_the_default() -> None:
    paper = build(next(path for path in PRESETS if path.stem == "wgan_gp"))
    assert paper == WGANGP()
    assert paper.steps == 100 * (162_770 // 64) / 5


def test_paper_preset_has_the_papers_size() -> None:
    """1.73 M parameters (the code of Li et al. 2022); its critic ends in 8192 features."""
    paper = WGANGP()
    generator = ConvolutionalGenerator((3, 32, 32), paper.latent, paper.base, paper.kernel)
    assert sum(parameter.numel() for parameter in generator.parameters()) == 1_731_203
    kinds = [type(layer).__name__ for layer in generator.network]
    middle = ["ConvTranspose2d", "BatchNorm2d", "ReLU"] * 2
    assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Unflatten", *middle, "ConvTranspose2d", "Tanh"]
    convolutions = [
        layer for layer in critic((3, 32, 32), paper.critic) if isinstance(layer, torch.nn.Conv2d)
    ]
    assert [layer.out_channels for layer in convolutions] == [128, 256, 512]
    assert critic((3, 32, 32), paper.critic)[-1].in_features == 8192
