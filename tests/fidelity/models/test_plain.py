"""Networks without batch normalisation: sizes, forward passes and initialisations."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from harness.models.cnn import CNN
from harness.models.cnn3 import CNN3
from harness.models.lenet import LeNet
from harness.models.lenet5 import LeNet5
from harness.models.mlp import MLP
from harness.models.strided_cnn import StridedCNN
from harness.models.vgg import VGG
from harness.models.vgg16 import VGG16
from tests.fidelity.conftest import Fidelity
from tests.fidelity.models.written_out import Weights, count, images, made


def deviations(
    network: nn.Module, kinds: tuple[type[nn.Module], ...] = (nn.Conv2d, nn.Linear)
) -> list[float]:
    """The deviation of each layer's weights times the root of its fan-in; of layers with enough of them."""
    weights = [m.weight for m in network.modules() if isinstance(m, kinds)]
    return [float(w.std()) * math.sqrt(w[0].numel()) for w in weights if w.numel() > 2000]


def test_lenet(fidelity: Fidelity) -> None:
    for shape, classes, size in (
        ((3, 32, 32), 100, 85_036),
        ((1, 28, 28), 10, 588 * 10 + 10 + 312 + 2 * 3612),
    ):
        network = made(LeNet(), shape, classes)
        fidelity(
            "model",
            "lenet",
            "85,036 parameters on CIFAR-100 (dlg, iDLG.py)",
            count(network),
            size,
            tolerance=0,
        )
        w, x = Weights(network), images(*shape)
        h = w.convolution(x, 2, 2).sigmoid()
        h = w.convolution(h, 2, 2).sigmoid()
        h = w.convolution(h, 1, 2).sigmoid()
        what = "conv5 s2, s2, s1 to 12 channels with sigmoids, linear (Zhu et al. 2019, code)"
        fidelity("model", "lenet", what, network(x), w.linear(h.flatten(1)))
        assert w.used()
    everything = torch.cat([value.flatten() for value in made(LeNet(), (3, 32, 32), 100).parameters()])
    assert float(everything.abs().max()) <= 0.5
    what = "weights and biases U(-.5, .5): mean and deviation (to sampling error)"
    found = [float(everything.mean()), float(everything.std())]
    fidelity("model", "lenet", what, found, [0, 1 / math.sqrt(12)], tolerance=0.02)


def test_lenet5(fidelity: Fidelity) -> None:
    network = made(LeNet5(), (3, 32, 32), 10)
    size = 3 * 6 * 25 + 6 + 6 * 16 * 25 + 16 + 400 * 120 + 120 + 120 * 84 + 84 + 84 * 10 + 10
    fidelity(
        "model", "lenet5", "62,006 parameters (Ren et al. 2022, code)", count(network), size, tolerance=0
    )
    w, x = Weights(network), images(3, 32, 32)
    h = w.convolution(x, 1, 0).sigmoid().unflatten(2, (14, 2)).unflatten(4, (14, 2)).amax((3, 5))
    h = w.convolution(h, 1, 0).sigmoid().unflatten(2, (5, 2)).unflatten(4, (5, 2)).amax((3, 5))
    h = w.linear(w.linear(h.flatten(1)).sigmoid()).sigmoid()
    what = "conv5 6, pooling, conv5 16, pooling, 400-120-84, sigmoids, no sigmoid at the end (Ren et al. 2022, code)"
    fidelity("model", "lenet5", what, network(x), w.linear(h))
    assert w.used()
    everything = torch.cat([value.flatten() for value in network.parameters()])
    what = "weights and biases U(-.5, .5): largest, mean and deviation (to sampling error)"
    found = [float(everything.abs().max()), float(everything.mean()), float(everything.std())]
    fidelity("model", "lenet5", what, found, [0.5, 0, 1 / math.sqrt(12)], tolerance=0.02)


def test_cnn(fidelity: Fidelity) -> None:
    network = made(CNN(), (3, 32, 32), 10)
    size = 3 * 32 * 9 + 32 + 32 * 64 * 9 + 64 + 16384 * 512 + 512 + 512 * 10 + 10
    fidelity("model", "cnn", "parameters of fleak's CifarConvNetNoDropout", count(network), size, tolerance=0)
    w, x = Weights(network), images(3, 32, 32)
    h = w.convolution(x, 1, 1).clamp_min(0)
    h = w.convolution(h, 1, 1).clamp_min(0).unflatten(2, (16, 2)).unflatten(4, (16, 2)).amax((3, 5))
    what = "conv3 to 32 and 64 with ReLU, max over 2x2, linear 512, linear (Zhu et al. 2024, code)"
    fidelity("model", "cnn", what, network(x), w.linear(w.linear(h.flatten(1)).clamp_min(0)))
    assert w.used()
    what = "torch's U(+-1 / sqrt fan-in): deviation of each layer's weights (to sampling error)"
    found = deviations(network)
    fidelity("model", "cnn", what, found, [1 / math.sqrt(3)] * len(found), tolerance=0.03)


def test_cnn3(fidelity: Fidelity) -> None:
    network = made(CNN3(), (3, 32, 32), 100)
    size = 3 * 64 * 9 + 64 + 64 * 128 * 9 + 128 + 8192 * 200 + 200 + 200 * 100 + 100
    fidelity("model", "cnn3", "parameters (Dimitrov et al. 2022, code)", count(network), size, tolerance=0)
    w, x = Weights(network), images(3, 32, 32)
    h = F.avg_pool2d(w.convolution(x, 1, 1).clamp_min(0), 2)
    h = F.avg_pool2d(w.convolution(h, 1, 1).clamp_min(0), 2)
    what = "conv3 to 64 and 128 with ReLU and 2x2 means, linear 200, linear (Dimitrov et al. 2022, code)"
    fidelity("model", "cnn3", what, network(x), w.linear(w.linear(h.flatten(1)).clamp_min(0)))
    assert w.used()
    assert all(float(value.abs().max()) == 0 for name, value in network.named_parameters() if "bias" in name)
    found = deviations(network)
    what = "flax's lecun_normal: deviation 1 / sqrt fan-in (to sampling error)"
    fidelity("model", "cnn3", what, found, [1.0] * len(found), tolerance=0.05)
    farthest = [
        float(value.abs().max()) * math.sqrt(value[0].numel())
        for name, value in network.named_parameters()
        if "weight" in name and value.numel() > 50_000
    ]
    what = "lecun_normal is cut at 2 / .8796 deviations (to sampling error)"
    fidelity("model", "cnn3", what, farthest, [2 / 0.87962566] * len(farthest), tolerance=0.005)


def test_mlp(fidelity: Fidelity) -> None:
    network = made(MLP(), (3, 32, 32), 10)
    size = 3072 * 256 + 256 + 256 * 10 + 10
    fidelity(
        "model", "mlp", "parameters of fc2 (Kariyappa et al. 2023, code)", count(network), size, tolerance=0
    )
    w, x = Weights(network), images(3, 32, 32)
    expected = w.linear(w.linear(x.flatten(1)).clamp_min(0))
    fidelity("model", "mlp", "linear 256, ReLU, linear (Kariyappa et al. 2023, code)", network(x), expected)


def test_vgg16(fidelity: Fidelity) -> None:
    """Sizes alone: a pass through 138 million weights has no place in a test."""
    with torch.device("meta"):
        network = VGG16().network((3, 224, 224), 1000)
    widths = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    shapes = [
        shape
        for before, after in zip([3, *widths], widths, strict=False)
        for shape in ((after, before, 3, 3), (after,))
    ]
    shapes += [(4096, 25088), (4096,), (4096, 4096), (4096,), (1000, 4096), (1000,)]  # type: ignore[list-item]
    found = [tuple(value.shape) for value in network.parameters()]
    what = "shapes of all layers, configuration D (Simonyan and Zisserman 2015, table 1)"
    fidelity("model", "vgg16", what, found, shapes, tolerance=0)
    total = [float(count(network)), sum(m.p for m in network.modules() if isinstance(m, nn.Dropout))]
    what = "138,357,544 parameters, and no dropout (Zhu et al. 2024, code)"
    fidelity("model", "vgg16", what, total, [138_357_544, 0], tolerance=0)


def test_strided_cnn(fidelity: Fidelity) -> None:
    network = made(StridedCNN(), (3, 32, 32), 10)
    w, x = Weights(network), images(3, 32, 32)
    h = w.convolution(x, 1, 1).clamp_min(0)
    h = w.convolution(h, 2, 1).clamp_min(0)
    h = w.convolution(h, 2, 1).clamp_min(0)
    assert h[0].numel() == 4096
    what = "conv3 to 32, 32 (stride 2) and 64 (stride 2) with ReLU, linear 256, linear (ours)"
    fidelity("model", "strided_cnn", what, network(x), w.linear(w.linear(h.flatten(1)).clamp_min(0)))
    assert w.used()


def test_vgg(fidelity: Fidelity) -> None:
    """The convolutions of VGG-16, and a head for small images."""
    with torch.device("meta"):
        small, large = VGG().network((3, 64, 64), 200), VGG16().network((3, 224, 224), 1000)
    found, theirs = ([tuple(value.shape) for value in each.parameters()] for each in (small, large))
    what = "convolutions of configuration D (Simonyan and Zisserman 2015, table 1)"
    fidelity("model", "vgg", what, found[:26], theirs[:26], tolerance=0)
    head = [(1024, 2048), (1024,), (1024, 1024), (1024,), (200, 1024), (200,)]
    what = "linear 2048-1024-1024-K (Zhu et al. 2024, code)"
    fidelity("model", "vgg", what, found[26:], head, tolerance=0)
    network = made(VGG(width=4), (3, 64, 64), 10)
    w, x = Weights(network), images(3, 64, 64)
    for convolutions in (2, 2, 3, 3, 3):
        for _ in range(convolutions):
            x = w.convolution(x, 1, 1).clamp_min(0)
        x = F.max_pool2d(x, 2)
    hidden = w.linear(w.linear(x.flatten(1)).clamp_min(0)).clamp_min(0)
    what = "2, 2, 3, 3, 3 convolutions with ReLU before each 2x2 maximum, three linear layers"
    fidelity("model", "vgg", what, network(images(3, 64, 64)), w.linear(hidden))
    assert w.used()
