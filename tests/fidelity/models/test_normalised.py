"""Networks with batch normalisation: sizes, forward passes and initialisations."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from harness.models.convnet import ConvNet
from harness.models.resnet import ResNet
from harness.models.resnet18_imagenet import ResNet18ImageNet
from tests.fidelity.conftest import Fidelity
from tests.fidelity.models.written_out import (
    Weights,
    configured_model,
    count,
    images,
    made,
    residual_parameters,
)


def test_resnet18(fidelity: Fidelity) -> None:
    network = made(ResNet(), (3, 32, 32), 2)
    what = "11.17 M parameters (Li et al. 2022, code, CelebA)"
    fidelity("model", "resnet18", what, count(network), residual_parameters(3, 2), tolerance=0)
    narrow = made(ResNet(width=8), (3, 16, 16), 2)
    w, x = Weights(narrow), images(3, 16, 16)
    expected = w.linear(w.stages(w.normalisation(w.convolution(x, 1, 1, bias=False)).clamp_min(0)))
    what = "3x3 stem without pooling, four stages of two blocks, mean, linear (He et al. 2016; GGL's code; width 8)"
    fidelity("model", "resnet18", what, narrow(x), expected)
    assert w.used()
    deviations = [
        float(m.weight.std()) * math.sqrt(m.weight[:, 0].numel() / 2)
        for m in network.modules()
        if isinstance(m, nn.Conv2d) and m.weight.numel() > 5000
    ]
    what = "convolutions N(0, 2 / fan-out): deviation of each layer (to sampling error)"
    fidelity("model", "resnet18", what, deviations, [1.0] * len(deviations), tolerance=0.03)


DEEPER = {
    "resnet34": (ResNet(blocks=(3, 4, 6, 3)), 21_282_122),
    "resnet50": (ResNet(blocks=(3, 4, 6, 3), bottleneck=True), 23_520_842),
    "resnet101": (ResNet(blocks=(3, 4, 23, 3), bottleneck=True), 42_512_970),
}


@pytest.mark.parametrize("name", DEEPER)
def test_deeper_resnets(name: str, fidelity: Fidelity) -> None:
    model, size = DEEPER[name]
    assert model == replace(configured_model(name), normalize="none")
    with torch.device("meta"):
        network = model.network((3, 32, 32), 10)
    what = f"{size:,} parameters for ten classes (He et al. 2016, table 1, with a 3x3 stem)"
    fidelity("model", name, what, count(network), size, tolerance=0)
    narrow = made(replace(model, width=4, blocks=(1, 2, 1, 1)), (3, 16, 16), 2)
    w, x = Weights(narrow), images(3, 16, 16)
    h = w.normalisation(w.convolution(x, 1, 1, bias=False)).clamp_min(0)
    block = w.bottleneck if model.bottleneck else w.block
    for stage, blocks in enumerate((1, 2, 1, 1)):
        for place in range(blocks):
            h = block(h, 2 if stage and not place else 1)
    what = "stages of blocks as in table 1 and figure 5, the stride in the 3x3 (He et al. 2016; width 4, 1-2-1-1)"
    fidelity("model", name, what, narrow(x), w.linear(h.mean((2, 3))))
    assert w.used()


def test_resnet18_for_imagenet(fidelity: Fidelity) -> None:
    network = made(ResNet18ImageNet(), (3, 32, 32), 1000)
    what = "11,689,512 parameters (He et al. 2016; torchvision)"
    assert residual_parameters(7, 1000) == 11_689_512
    fidelity("model", "resnet18_imagenet", what, count(network), residual_parameters(7, 1000), tolerance=0)
    w, x = Weights(network), images(3, 32, 32)
    h = w.normalisation(w.convolution(x, 2, 3, bias=False)).clamp_min(0)
    expected = w.linear(w.stages(F.max_pool2d(h, 3, 2, 1)))
    what = "7x7 stem with stride 2, max over 3x3, four stages of two blocks, mean, linear (He et al. 2016, table 1)"
    fidelity("model", "resnet18_imagenet", what, network(x), expected)
    assert w.used()


def test_convnet64(fidelity: Fidelity) -> None:
    network = made(ConvNet(), (3, 32, 32), 10)
    widths = [3, 64, 128, 128, 256, 256, 256, 256, 256]
    size = sum(9 * a * b + b + 2 * b for a, b in pairwise(widths)) + 36 * 64 * 10 + 10
    assert round(size / 1e6, 2) == 2.90
    what = "2.90 M parameters (Geiping et al. 2020, code)"
    fidelity("model", "convnet64", what, count(network), size, tolerance=0)
    narrow = made(ConvNet(width=8), (3, 32, 32), 10)
    w, x = Weights(narrow), images(3, 32, 32)
    h = x
    for place in range(8):
        h = w.normalisation(w.convolution(h, 1, 1)).clamp_min(0)
        h = F.max_pool2d(h, 3) if place in (5, 7) else h
    what = "conv3 to w, 2w, 2w, 4w x 5 with BN and ReLU, max over 3x3 after the 6th and 8th, linear (their code; w = 8)"
    fidelity("model", "convnet64", what, narrow(x), w.linear(h.flatten(1)))
    assert w.used()
