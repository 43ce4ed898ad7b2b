"""What a malicious server plants is seen in the model that it sends, and honest models are left alone."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from harness.checks.structure import half_negated_rows, loud_bias, parallel_rows
from harness.config import compose
from harness.models.imprint import Imprint
from harness.runs.clients import open_targets

HONEST = ("lenet", "cnn", "cnn3", "mlp", "convnet64", "resnet18")
NARROW = {"resnet18": ("model.width=16", "model.blocks=1")}


def network(name: str, seed: int, *overrides: str) -> tuple[Mapping[str, Tensor], str]:
    """Its tensors, and the name of its head."""
    setup = compose(f"model={name}", "logger=none", *NARROW.get(name, ()), *overrides)
    model = setup.model.build(setup.dataset, seed)
    return dict(model.named_parameters()), model.head


def trapped(inputs: int, units: int, scale: float = 0.95) -> Tensor:
    """Rows [units, inputs] of Boenisch et al. 2023: half of the entries negative, the others as large times a scale."""
    rng = torch.Generator().manual_seed(0)
    sizes = (0.5 * torch.randn(units, inputs // 2, generator=rng)).abs()
    rows = torch.cat([-sizes, scale * sizes], 1)
    order = torch.rand(units, inputs, generator=rng).argsort(1)
    return rows.gather(1, order)


@pytest.mark.parametrize(("name", "seed"), [(name, seed) for name in HONEST for seed in range(3)])
def test_honest_models_are_left_alone(name: str, seed: int) -> None:
    params, head = network(name, seed)
    assert parallel_rows(params) in (0.0, None)
    assert (half_negated_rows(params) or 0.0) <= 0.05
    assert loud_bias(params.get(f"{head}.weight"), params.get(f"{head}.bias")) == 0


@pytest.mark.parametrize("functional", ["mean", "fourier", "projection"])
def test_an_imprint_block_is_seen(functional: str) -> None:
    params, _ = network("imprint_mlp", 0, f"model.functional={functional}")
    assert parallel_rows(params) == 1
    assert issubclass(type(compose("model=imprint_mlp", "logger=none").model), Imprint)


@pytest.mark.parametrize("scale", [0.9, 0.97, 1.0])
def test_trap_weights_are_seen(scale: float) -> None:
    params, _ = network("mlp", 0)
    planted = {**params, "network.1.weight": trapped(1024, 256, scale)}
    assert half_negated_rows(planted) == 1


def test_a_head_that_fishes_is_seen() -> None:
    params, head = network("lenet", 0)
    weight, bias = params[f"{head}.weight"].clone(), params[f"{head}.bias"].clone()
    weight[torch.arange(len(weight)) != 3] = 0
    assert loud_bias(weight, bias) == pytest.approx(float(bias[torch.arange(10) != 3].abs().max()))
    bias[torch.arange(10) != 3] = 100
    assert loud_bias(weight, bias) == 100
    assert loud_bias(torch.zeros(10, 4), torch.zeros(10)) == 0  # heads that begin at zero are honest


@pytest.mark.parametrize("name", ["lenet", "cnn", "mlp"])
def test_what_each_server_plants_is_seen(name: str) -> None:
    given = (f"model={name}", "model.normalize=none", "attack=dlg", "fl.dummies=1", "logger=none")
    for server, seen in (("imprint", 0), ("trap_weights", 1), ("class_fishing", 2)):
        net = open_targets(compose(*given, f"server={server}")).fixed_model
        params = dict(net.named_parameters())
        bias = loud_bias(params[f"{net.head}.weight"], params[f"{net.head}.bias"]) or 0.0
        alarms = [(parallel_rows(params) or 0.0) > 0.05, (half_negated_rows(params) or 0.0) > 0.05, bias > 5]
        assert alarms == [place == seen for place in range(3)]
