"""The head's parameters and its input."""

import torch
from torch import nn
from torch.func import grad, jacrev, vmap

from harness.core import Classifier, Normalize
from harness.models.head import head_input, head_parameters
from harness.models.resnet import ResNet


def classifier(network: nn.Module) -> Classifier:
    return Classifier(Normalize((0.5,), (0.5,)), network).eval().requires_grad_(False)


def test_names_of_the_head() -> None:
    body = [nn.Flatten(), nn.Linear(16, 8), nn.ReLU()]
    model = classifier(nn.Sequential(*body, nn.Linear(8, 3)))
    assert head_parameters(model) == ("network.3.weight", "network.3.bias")
    params = dict(model.named_parameters())
    assert all(name in params for name in head_parameters(model))
    assert head_parameters(classifier(nn.Sequential(*body, nn.Linear(8, 3, bias=False)))) == (
        "network.3.weight",
        None,
    )


def test_a_norms_bias_is_not_taken_for_the_heads() -> None:
    """LeakPro takes the bias of a normalisation layer when the head has none."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 8, bias=False), nn.LayerNorm(8))
    assert head_parameters(classifier(network)) == ("network.1.weight", None)


def test_input_of_the_head_is_what_comes_before_it() -> None:
    torch.manual_seed(0)
    network = ResNet(width=4, blocks=1).network((1, 16, 16), 3)
    model = classifier(network)
    x = torch.rand(5, 1, 16, 16)
    features = head_input(model, dict(model.named_parameters()), x)
    assert features.shape == (5, 32)
    assert torch.equal(features, network[:-1](2 * x - 1))
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_input_of_the_head_follows_the_parameters_given() -> None:
    torch.manual_seed(0)
    model = classifier(nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Linear(8, 3)))
    x = torch.rand(2, 1, 4, 4)
    params = dict(model.named_parameters())
    doubled = {name: 2 * p for name, p in params.items()}
    assert torch.allclose(head_input(model, doubled, x), 2 * head_input(model, params, x))
    assert torch.equal(params["network.1.weight"], model.network[1].weight)


def test_input_of_the_head_under_transforms() -> None:
    torch.manual_seed(0)
    model = classifier(nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Sigmoid(), nn.Linear(8, 3))).double()
    params = dict(model.named_parameters())
    x = torch.rand(4, 1, 4, 4, dtype=torch.float64)

    def feature(image: torch.Tensor) -> torch.Tensor:
        return head_input(model, params, image[None])[0]

    jacobians = vmap(jacrev(feature))(x)
    assert jacobians.shape == (4, 8, 1, 4, 4)
    for image, jacobian in zip(x, jacobians, strict=True):
        expected = torch.autograd.functional.jacobian(feature, image)
        torch.testing.assert_close(jacobian, expected)
    second = grad(lambda image: jacrev(feature)(image).square().sum())(x[0])
    assert float(second.abs().max()) > 0
