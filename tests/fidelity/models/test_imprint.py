"""The imprint block of Robbing the Fed before each of its networks."""

import numpy as np
import pytest
import torch
from scipy.stats import laplace, norm

from harness.core import Model
from harness.models.cnn import CNN
from harness.models.imprint import Imprint, imprint_block
from harness.models.mlp import MLP
from harness.models.resnet import ResNet
from tests.fidelity.conftest import Fidelity
from tests.fidelity.models.written_out import images, made

BASES: dict[str, Model] = {"imprint_mlp": MLP(), "imprint_cnn": CNN(), "imprint_resnet18": ResNet()}
QUANTILES = {"laplace": laplace(scale=1 / np.sqrt(2)), "gaussian": norm()}


@pytest.mark.parametrize("name", list(BASES))
@pytest.mark.parametrize("edges", list(QUANTILES))
def test_rows_measure_brightness_less_a_quantile(name: str, edges: str, fidelity: Fidelity) -> None:
    shape, pixels = (3, 8, 8), 192
    network = made(Imprint(base=BASES[name], edges=edges), shape, 10)
    _, block = imprint_block(network)
    inner = QUANTILES[edges].ppf(np.arange(1, 100) / 100)
    cuts = np.concatenate([[-10.0], inner])
    found = {"weight": block.measure.weight, "bias": block.measure.bias, "back": block.back.weight}
    expected = {
        "weight": np.full((100, pixels), 1e-3 * 1.32 / pixels),
        "bias": -1e-3 * cuts,
        "back": np.full((pixels, 100), 1e3),
    }
    for part, value in expected.items():
        what = f"{part}: gain 1.32 / N, -gain c_k, 1 / gain; c_k the quantiles k / K (Fowl et al. 2022, code; float32)"
        fidelity("model", name, what, found[part].detach(), torch.from_numpy(value), tolerance=1e-6)
    x = images(*shape)
    hidden = (x.flatten(1) @ block.measure.weight.T + block.measure.bias).clamp_min(0)
    seen = (hidden @ block.back.weight.T + block.back.bias).view(2, *shape)
    what = "the base sees W2 relu(W1 x + b1) + b2 (Fowl et al. 2022, section 3)"
    fidelity("model", name, what, network(x), network.get_submodule("1")(seen))
