"""Networks as plain functions of their weights, taken in the order of the layers."""

from collections.abc import Iterator
from typing import Any

import hydra
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn import functional as F

from harness.base.components import build
from harness.base.schema import CONF, prepare_hydra
from harness.core import Model, Shape, generator


def made(model: Model, shape: Shape, classes: int) -> nn.Module:
    """The network in float64 and eval mode; batch normalisation with statistics and weights of its own."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = model.network(shape, classes).double().eval().requires_grad_(False)
    rng = generator("statistics")
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            for value in (module.running_mean, module.running_var, module.weight, module.bias):
                value.copy_(torch.rand(value.shape, generator=rng) + 0.5)
    return network


def configured_model(name: str) -> Any:
    """A model as conf/ has it."""
    prepare_hydra()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return build("model", OmegaConf.to_container(hydra.compose("config", [f"model={name}"]).model))


def images(*shape: int) -> Tensor:
    return torch.randn(2, *shape, generator=generator("images"), dtype=torch.float64)


class Weights:
    """The weights of a network, one after the other."""

    def __init__(self, network: nn.Module) -> None:
        self.parameters: Iterator[Tensor] = iter([value.data for value in network.parameters()])
        self.statistics = iter([value for name, value in network.named_buffers() if "running" in name])

    def convolution(self, x: Tensor, stride: int, padding: int, bias: bool = True) -> Tensor:
        weight = next(self.parameters)
        return F.conv2d(x, weight, next(self.parameters) if bias else None, stride, padding)

    def linear(self, x: Tensor) -> Tensor:
        return x @ next(self.parameters).T + next(self.parameters)

    def normalisation(self, x: Tensor) -> Tensor:
        """(x - mean) / sqrt(var + 1e-5) * gamma + beta for each channel (Ioffe and Szegedy 2015)."""
        gamma, beta, mean, variance = (
            next(values)[:, None, None]
            for values in (self.parameters, self.parameters, self.statistics, self.statistics)
        )
        return (x - mean) / (variance + 1e-5).sqrt() * gamma + beta

    def block(self, x: Tensor, stride: int) -> Tensor:
        """He et al. 2016, figure 2, with a projection where the stride is 2."""
        inner = self.normalisation(self.convolution(x, stride, 1, bias=False)).clamp_min(0)
        inner = self.normalisation(self.convolution(inner, 1, 1, bias=False))
        aside = self.normalisation(self.convolution(x, stride, 0, bias=False)) if stride == 2 else x
        return (inner + aside).clamp_min(0)

    def bottleneck(self, x: Tensor, stride: int) -> Tensor:
        """He et al. 2016, figure 5, right, with a projection where the shape changes."""
        inner = self.normalisation(self.convolution(x, 1, 0, bias=False)).clamp_min(0)
        inner = self.normalisation(self.convolution(inner, stride, 1, bias=False)).clamp_min(0)
        inner = self.normalisation(self.convolution(inner, 1, 0, bias=False))
        changes = inner.shape != x.shape
        aside = self.normalisation(self.convolution(x, stride, 0, bias=False)) if changes else x
        return (inner + aside).clamp_min(0)

    def layer_normalisation(self, x: Tensor) -> Tensor:
        """(x - mean) / sqrt(var + 1e-5) * gamma + beta for each token (Ba et al. 2016)."""
        centred = x - x.mean(-1, keepdim=True)
        normal = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return normal * next(self.parameters) + next(self.parameters)

    def stages(self, x: Tensor) -> Tensor:
        """The four stages of a ResNet-18 and the mean over pixels."""
        for stage in range(4):
            for place in range(2):
                x = self.block(x, 2 if stage and not place else 1)
        return x.mean((2, 3))

    def used(self) -> bool:
        return next(self.parameters, None) is None and next(self.statistics, None) is None


def count(network: nn.Module) -> int:
    return sum(value.numel() for value in network.parameters())


def residual_parameters(stem: int, classes: int) -> int:
    """Of a ResNet-18: stem and its normalisation, four stages of two blocks, the last layer."""
    total, before = 3 * 64 * stem**2 + 128, 64
    for width in (64, 128, 256, 512):
        for inputs in (before, width):
            total += 9 * inputs * width + 9 * width * width + 4 * width
        total += before * width + 2 * width if width != before else 0
        before = width
    return total + 512 * classes + classes
