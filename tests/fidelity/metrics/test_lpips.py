"""LPIPS on trunks with random weights: the published ones are not part of the repository."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.core import Batch, Classifier, generator
from harness.machine import vision as vision  # before torchvision
from harness.metrics import lpips as module
from harness.metrics.lpips import LPIPS, Net
from tests.fidelity.conftest import Fidelity

TAPS: dict[Net, tuple[int, ...]] = {
    "alex": (1, 4, 7, 9, 11),
    "squeeze": (1, 4, 7, 9, 10, 11, 12),
    "vgg": (3, 8, 15, 22, 29),
}
"""The layers of torchvision's trunks whose activations are compared: after each ReLU of Zhang et al.'s code."""
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""By which their code brings [-1, 1] to the statistics of ImageNet."""


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "kaiming_uniform_",
        "kaiming_normal_",
        "uniform_",
        "normal_",
    ):  # of weights that are replaced anyway
        monkeypatch.setattr(nn.init, name, lambda tensor, *_, **__: tensor)


def network(net: Net) -> nn.Module:
    """The package's network in float64, with random weights in its trunk."""
    made = module._untrained(net)
    rng = generator("trunk")
    with torch.no_grad():
        for value in made.get_submodule("net").parameters():
            fan = value[0].numel() if value.ndim > 1 else 100
            value.copy_(torch.randn(value.shape, generator=rng) * (2 / fan) ** 0.5)
    return made.double()


def trunk(net: Net, weights: dict[str, Tensor]) -> nn.Sequential:
    """torchvision's layers with these weights, by the numbers that the package's slices keep of them."""
    from torchvision import models

    build: dict[str, Any] = {"vgg": models.vgg16, "alex": models.alexnet, "squeeze": models.squeezenet1_1}
    with torch.device("meta"):
        features: nn.Sequential = build[net](weights=None).features
    state = {name.split(".", 1)[1]: value for name, value in weights.items()}
    features.load_state_dict(state, assign=True)
    return features


def heads(net: Net) -> list[Tensor]:
    """The trained weights of each layer's channels, as the lpips package ships them."""
    import lpips

    path = Path(lpips.__file__).parent / "weights/v0.1" / f"{net}.pth"
    state = torch.load(path, map_location="cpu", weights_only=True)
    return [state[f"lin{place}.model.1.weight"].double() for place in range(len(TAPS[net]))]


def activations(features: nn.Sequential, x: Tensor, taps: tuple[int, ...]) -> list[Tensor]:
    found = []
    for place, layer in enumerate(features[: taps[-1] + 1]):  # type: ignore[var-annotated]
        x = layer(x)
        if place in taps:
            found.append(x / x.square().sum(1, keepdim=True).sqrt())
    return found


@pytest.mark.parametrize("net", list(TAPS))
def test_weighted_distance_of_unit_activations(
    net: Net, monkeypatch: pytest.MonkeyPatch, classifier: Classifier, fidelity: Fidelity
) -> None:
    made = network(net)
    monkeypatch.setattr(module, "_load", lambda *_: made)
    monkeypatch.setattr(LPIPS, "_there", lambda *_: True)
    rng = generator("images")
    found, truth = (
        Batch(torch.rand(2, 3, 32, 32, generator=rng, dtype=torch.float64), torch.zeros(2).long())
        for _ in range(2)
    )
    features = trunk(net, made.get_submodule("net").state_dict())
    shift, scale = (torch.tensor(values).double().view(3, 1, 1) for values in (SHIFT, SCALE))
    with torch.no_grad():
        sides = [activations(features, (2 * b.x - 1 - shift) / scale, TAPS[net]) for b in (found, truth)]
        distances = [
            F.conv2d((u - v).square(), weight).mean((1, 2, 3))
            for u, v, weight in zip(*sides, heads(net), strict=True)
        ]
    scores = LPIPS(net=net)(found, truth, classifier, {})
    assert scores is not None
    fidelity(
        "metric",
        f"lpips_{net}",
        "sum over layers of mean w (u' - u)^2, u unit activations (Zhang et al. 2018, equation 1; random trunk)",
        scores,
        torch.stack(distances).sum(0),
    )
