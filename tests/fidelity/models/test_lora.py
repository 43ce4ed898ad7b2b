"""LoRA: its forward pass, and what the gradients of A and B tell of the full one."""

import math

import pytest
import torch
from torch import Tensor, nn

from harness.core import Batch, Classifier, Normalize, generator
from harness.core.gradient import gradient
from harness.federated.fedavg import FedAvg
from harness.models.lora import LoRA
from harness.models.mlp import MLP
from harness.models.vit import ViT
from tests.fidelity.conftest import Fidelity

SHAPE, CLASSES, WHAT = (1, 8, 8), 5, "(Hu et al. 2022, eq. 3)"
MODELS = {"network.1": MLP(hidden=16), "network.5.0.branch.1.qkv": ViT(width=12, heads=1, depth=2, hidden=8)}
"""By the layer that is adapted."""


def plain(layer: str) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = MODELS[layer].network(SHAPE, CLASSES)
    return Classifier(Normalize((0.5,), (0.5,)), network).double().eval().requires_grad_(False)


def clients(images: int) -> Batch:
    x = torch.rand(images, *SHAPE, generator=generator("images"), dtype=torch.float64)
    return Batch(x, torch.arange(images) % CLASSES)


def merged(adapted: Classifier, layer: str) -> Classifier:
    """The plain network with W0 + s B A in the place of W0."""
    beside = adapted.get_submodule(layer)
    network = plain(layer)
    own = network.get_submodule(layer)
    assert isinstance(own, nn.Linear)
    own.weight.add_(beside.scale * beside.up @ beside.down)  # type: ignore[operator]
    return network


def slopes(model: Classifier, batch: Batch) -> dict[str, Tensor]:
    return gradient(model, dict(model.named_parameters()), batch)


@pytest.mark.parametrize("layer", MODELS)
@pytest.mark.parametrize("up", [0.0, 0.1])
def test_the_two_identities(layer: str, up: float, fidelity: Fidelity) -> None:
    alpha = 6.0
    adapted = LoRA(rank=3, layers=(layer,), alpha=alpha, up=up).adapt(plain(layer), seed=1)
    whole, batch = merged(adapted, layer), clients(4)
    fidelity("adapter", "lora", f"W0 x + alpha / rank B A x {WHAT}", adapted(batch.x), whole(batch.x))
    full = slopes(whole, batch)[f"{layer}.weight"]
    found = slopes(adapted, batch)
    assert set(found) == {f"{layer}.down", f"{layer}.up"}, "all else is frozen"
    a, b = (dict(adapted.named_parameters())[f"{layer}.{part}"] for part in ("down", "up"))
    fidelity(
        "adapter", "lora", "grad B = s dW A^T", found[f"{layer}.up"], alpha / 3 * full @ a.T, tolerance=1e-10
    )
    what = "grad A = s B^T dW; exactly zero where B is"
    fidelity("adapter", "lora", what, found[f"{layer}.down"], alpha / 3 * b.T @ full, tolerance=1e-10)
    assert bool(found[f"{layer}.down"].any()) == bool(up)


def test_a_square_b_leaves_the_whole_gradient(fidelity: Fidelity) -> None:
    adapted = LoRA(rank=16, layers=("network.1",), up=0.3).adapt(plain("network.1"), seed=1)
    full = slopes(merged(adapted, "network.1"), clients(4))["network.1.weight"]
    b = dict(adapted.named_parameters())["network.1.up"]
    found = torch.linalg.solve(b.T, slopes(adapted, clients(4))["network.1.down"])
    fidelity("adapter", "lora", "a square B: B^-T grad A = dW", found, full)


def test_the_beginning(fidelity: Fidelity) -> None:
    for down, deviation in (("uniform", 1 / math.sqrt(3 * 64)), ("normal", 1 / math.sqrt(64))):
        adapted = LoRA(rank=2000, layers=("network.1",), down=down).adapt(plain("network.1"), 0)  # type: ignore[arg-type]
        a, b = (dict(adapted.named_parameters())[f"network.1.{part}"] for part in ("down", "up"))
        fidelity(
            "adapter", "lora", "B = 0 (Hu et al. 2022, section 4.1)", float(b.abs().max()), 0.0, tolerance=0
        )
        what = f"A {down}: its deviation (Hu et al. 2022, {'code' if down == 'uniform' else 'text'}; to sampling error)"
        fidelity("adapter", "lora", what, float(a.std()), deviation, tolerance=0.01)


def test_two_local_steps_leak_where_b_begins_at_zero(fidelity: Fidelity) -> None:
    """With one image every row of what A has moved by is that image; after one step A has not moved."""
    adapted, batch = LoRA(rank=3, layers=("network.1",)).adapt(plain("network.1"), seed=1), clients(1)
    params = dict(adapted.named_parameters())
    one = FedAvg(batch_size=1, local_epochs=1, lr=0.1).update(adapted, params, batch)
    fidelity(
        "adapter",
        "lora",
        "B = 0, one local step: A stays",
        float(one["network.1.down"].abs().max()),
        0.0,
        tolerance=0,
    )
    two = FedAvg(batch_size=1, local_epochs=2, lr=0.1).update(adapted, params, batch)["network.1.down"]
    image = 2 * batch.x.flatten() - 1
    cosines = (two @ image).abs() / two.norm(dim=1) / image.norm()
    what = "B = 0, two local steps: A's rows move along the one image"
    fidelity("adapter", "lora", what, cosines, torch.ones(3).double())
