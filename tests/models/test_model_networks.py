"""Every victim network: its size, its initialisation, and its gradients under torch.func."""

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from harness.core import Classifier, Dataset, Images, Model, Normalize, Shape, Split, UserError, component
from harness.models.cnn import CNN
from harness.models.cnn3 import CNN3
from harness.models.convnet import ConvNet
from harness.models.imprint import Imprint
from harness.models.lenet import LeNet
from harness.models.lenet5 import LeNet5
from harness.models.mlp import MLP
from harness.models.resnet import ResNet
from harness.models.resnet18_imagenet import ResNet18ImageNet
from harness.models.vgg16 import VGG16
from harness.models.vit import ViT

SHORT = {"ids": lambda value: type(value).__name__ if isinstance(value, Model) else str(value)}

SMALL: list[Model] = [
    LeNet(),
    LeNet5(),
    CNN(),
    CNN3(),
    MLP(),
    ConvNet(width=8),
    ResNet(width=8, blocks=2),
    ResNet(width=16, blocks=1),
    ResNet18ImageNet(),
    ResNet(width=4, blocks=(1, 2, 1, 1), bottleneck=True),
    ViT(width=16, depth=2, heads=1, hidden=32),
    MLP(nonlinearity="gelu"),
]


@component
class Noise(Dataset):
    """A data set in name only: it says what a model must fit."""

    size: Shape = (3, 32, 32)
    count: int = 10

    @property
    def shape(self) -> Shape:
        return self.size

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(map(str, range(self.count)))

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return (0.4,) * self.size[0], (0.2,) * self.size[0]

    def load(self, split: Split, root: str | None) -> Images:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def _no_slow_loops() -> Iterator[None]:
    """Make an operation without a vmap rule an error, where torch would only warn and loop."""
    torch._C._functorch._set_vmap_fallback_enabled(False)  # type: ignore[attr-defined]
    yield
    torch._C._functorch._set_vmap_fallback_enabled(True)  # type: ignore[attr-defined]


def example_loss(params: dict[str, Tensor], model: Classifier, image: Tensor, label: Tensor) -> Tensor:
    return F.cross_entropy(functional_call(model, params, (image[None],)), label[None])


def pair(shape: Shape, classes: int) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(5)
    return torch.rand(2, *shape, generator=rng), torch.tensor([0, classes - 1])


def assert_vectorises(model: Classifier, params: dict[str, Tensor], x: Tensor, y: Tensor) -> None:
    together = vmap(grad(example_loss), in_dims=(None, None, 0, 0))(params, model, x, y)
    for i in range(len(x)):
        alone = grad(example_loss)(params, model, x[i], y[i])
        for name, gradient in alone.items():
            assert float((together[name][i] - gradient).norm()) <= 1e-5 * float(gradient.norm())


@pytest.mark.parametrize(
    ("model", "classes", "parameters", "tensors"),
    [
        (LeNet(), 100, 85_036, 8),
        (LeNet5(), 10, 62_006, 10),
        (CNN(), 10, 8_413_642, 8),
        (CNN3(), 100, 1_734_348, 8),
        (MLP(), 10, 789_258, 4),
        (ConvNet(), 10, 2_904_970, 34),
        (ResNet(), 2, 11_169_858, 62),
        (ResNet(width=16, blocks=1), 10, 308_826, 38),
        (ResNet18ImageNet(), 1000, 11_689_512, 62),
        (ViT(), 10, 5_341_354, 130),
    ],
    **SHORT,
)
def test_has_the_published_number_of_parameters(
    model: Model, classes: int, parameters: int, tensors: int
) -> None:
    found = list(model.network((3, 32, 32), classes).parameters())
    assert sum(p.numel() for p in found) == parameters
    assert len(found) == tensors


@pytest.mark.parametrize("model", SMALL, **SHORT)
def test_an_activation_takes_the_place_of_all(model: Model) -> None:
    own, other = (
        replace(model, nonlinearity=name).build(Noise(size=(3, 16, 16)), seed=3) for name in (None, "tanh")
    )
    kinds = {type(layer) for layer in other.modules()}
    assert nn.Tanh in kinds
    assert kinds.isdisjoint({nn.ReLU, nn.Sigmoid, nn.GELU})
    for mine, theirs in zip(own.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_the_block_of_a_malicious_server_keeps_its_own() -> None:
    whole = Imprint(base=MLP(nonlinearity="sigmoid"), edges="laplace").activated((1, 8, 8), 5)
    assert [name for name, layer in whole.named_modules() if isinstance(layer, nn.Sigmoid)] == ["1.2"]


@pytest.mark.parametrize("model", SMALL, **SHORT)
def test_gradients_of_examples_vectorise(model: Model) -> None:
    classifier = model.build(Noise(size=(3, 16, 16)), seed=3)
    assert_vectorises(classifier, dict(classifier.named_parameters()), *pair((3, 16, 16), 10))


@pytest.mark.parametrize("model", SMALL, **SHORT)
def test_a_gradient_can_be_differentiated_in_the_image(model: Model) -> None:
    """Against autograd in double precision, whose double backward is a path of its own."""
    classifier = model.build(Noise(size=(3, 16, 16)), seed=3).double()
    params = dict(classifier.named_parameters())
    x, y = pair((3, 16, 16), 10)
    x = x.double()
    target = grad(example_loss)(params, classifier, x[1], y[1])

    def mismatch(image: Tensor) -> Tensor:
        found = grad(example_loss)(params, classifier, image, y[0])
        return torch.stack([(found[k] - target[k]).square().sum() for k in found]).sum()

    leaves = {k: p.detach().requires_grad_() for k, p in params.items()}
    image = x[0].clone().requires_grad_()
    found = torch.autograd.grad(
        example_loss(leaves, classifier, image, y[0]), list(leaves.values()), create_graph=True
    )
    loss = torch.stack([(a - b).square().sum() for a, b in zip(found, target.values(), strict=True)]).sum()
    (expected,) = torch.autograd.grad(loss, image)
    assert expected.abs().max() > 0
    torch.testing.assert_close(grad(mismatch)(x[0]), expected, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(vmap(grad(mismatch))(x)[0], expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("model", SMALL, **SHORT)
def test_fits_grey_images_of_another_size(model: Model) -> None:
    classifier = model.build(Noise(size=(1, 28, 24), count=7), seed=0)
    assert classifier(torch.rand(2, 1, 28, 24)).shape == (2, 7)


@pytest.mark.parametrize("model", SMALL, **SHORT)
def test_nothing_in_place_and_no_dropout(model: Model) -> None:
    modules = list(model.network((3, 32, 32), 10).modules())
    assert not any(m.inplace for m in modules if isinstance(m, nn.ReLU))
    assert not any(isinstance(m, nn.Dropout) and m.p > 0 for m in modules)


@pytest.mark.parametrize("model", [LeNet(), CNN3(), ResNet(width=8)], **SHORT)
def test_the_seed_decides_the_weights(model: Model) -> None:
    def weights(seed: int) -> Tensor:
        return torch.cat([p.flatten() for p in model.build(Noise(), seed).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_vgg16_vectorises_at_32_pixels() -> None:
    """In the parameters of its convolutions and head alone: the hidden layers hold a hundred million."""
    network = VGG16().network((1, 32, 32), 10)
    assert sum(p.numel() for p in network.parameters()) == 138_357_544 - 2 * 64 * 9 - 990 * 4097
    assert not any(m.inplace for m in network.modules() if isinstance(m, nn.ReLU))
    assert not any(m.p > 0 for m in network.modules() if isinstance(m, nn.Dropout))
    for parameter in network.parameters():
        if parameter.ndim == 4:  # torchvision's own start leaves no signal after 16 layers
            nn.init.kaiming_normal_(parameter)
    classifier = Classifier(Normalize((0.5,), (0.5,)), network).eval().requires_grad_(False)
    params = {k: p for k, p in classifier.named_parameters() if "features" in k or classifier.head in k}
    assert_vectorises(classifier, params, *pair((1, 32, 32), 10))


def test_too_small_images_are_a_mistake_of_the_user() -> None:
    with pytest.raises(UserError, match="VGG16 needs images of at least 32 x 32 pixels, not 28 x 28"):
        VGG16().network((1, 28, 28), 10)
    with pytest.raises(UserError, match="at least 9 x 9"):
        ConvNet().network((1, 8, 8), 10)
    with pytest.raises(UserError, match=r"model.patch=4 does not divide images of 30 x 32 pixels"):
        ViT().network((1, 30, 32), 10)


def test_lenet_draws_weights_and_biases_from_one_uniform() -> None:
    torch.manual_seed(0)
    for parameter in LeNet().network((3, 32, 32), 100).requires_grad_(False).parameters():
        assert float(parameter.abs().max()) <= 0.5
        if parameter.numel() > 500:
            assert float(parameter.std()) == pytest.approx(1 / math.sqrt(12), rel=0.05)
        assert float(parameter.abs().max()) > 0.3


def test_lenet_has_588_features_for_28_pixels() -> None:
    assert LeNet().network((1, 28, 28), 10)[-1].in_features == 588


def test_resnet_starts_with_kaiming_fan_out_and_keeps_the_default_head() -> None:
    torch.manual_seed(0)
    network = ResNet(width=32).network((3, 32, 32), 10).requires_grad_(False)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 20
    for layer in convolutions:
        expected = math.sqrt(2 / (layer.out_channels * layer.kernel_size[0] ** 2))
        assert float(layer.weight.std()) == pytest.approx(expected, rel=0.1)
    assert float(network[-1].weight.abs().max()) <= 1 / math.sqrt(256)


def test_cnn3_starts_as_flax_does() -> None:
    torch.manual_seed(0)
    for layer in CNN3().network((3, 32, 32), 100).requires_grad_(False):  # type: ignore[attr-defined]
        if isinstance(layer, nn.Conv2d | nn.Linear):
            fan_in = layer.weight[0].numel()
            assert float(layer.weight.std()) == pytest.approx(1 / math.sqrt(fan_in), rel=0.1)
            assert float(layer.weight.abs().max()) <= 2 / math.sqrt(fan_in) / 0.8796
            assert not layer.bias.any()
