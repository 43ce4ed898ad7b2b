"""Robbing the Fed: images are quotients of differences of neighbouring rows."""

import torch
from torch import nn

from harness.core import Classifier, Normalize, Observation
from harness.federated.fedsgd import FedSGD
from harness.models.imprint import ImprintBlock
from tests.fidelity.attacks.statements import configured, cross_entropy
from tests.fidelity.conftest import Fidelity

SHAPE, PIXELS, CLASSES = (1, 4, 4), 16, 3


def test_images_are_quotients_of_differences_of_rows(fidelity: Fidelity) -> None:
    """Five images in six bins: one bin holds two, three hold one each."""
    draw = torch.Generator().manual_seed(4)
    brightness = torch.tensor([0.15, 0.35, 0.37, 0.6, 0.9], dtype=torch.float64)
    x = brightness.view(-1, 1, 1, 1) + 0.02 * torch.rand(5, *SHAPE, generator=draw, dtype=torch.float64)
    u, y = 2 * x - 1, torch.tensor([0, 1, 2, 1, 0])
    edges = torch.tensor([-1.0, -0.8, -0.4, -0.2, 0.1, 0.5], dtype=torch.float64)
    block = ImprintBlock(SHAPE, torch.full((PIXELS,), 1 / PIXELS).double(), 6, "relu", 1.0).double()
    block.set_edges(edges)
    head = nn.Linear(PIXELS, CLASSES).double()
    with torch.no_grad():
        head.weight.copy_(torch.randn(CLASSES, PIXELS, generator=draw, dtype=torch.float64))
        head.bias.zero_()
    model = Classifier(Normalize((0.5,), (0.5,)), nn.Sequential(block, nn.Flatten(), head)).double().eval()
    held = {name: value.detach().requires_grad_() for name, value in model.named_parameters()}
    w = {name.removeprefix("network.0."): value for name, value in held.items()}
    hidden = (u.flatten(1) @ w["measure.weight"].T + w["measure.bias"]).clamp(min=0)
    seen_by_head = hidden @ w["back.weight"].T + w["back.bias"]
    loss = cross_entropy(seen_by_head @ held["network.2.weight"].T, y)
    slopes = torch.autograd.grad(loss, list(held.values()), allow_unused=True)
    update = {
        name: torch.zeros_like(value) if found is None else found
        for (name, value), found in zip(held.items(), slopes, strict=True)
    }
    seen = Observation(
        model=model,
        params=held,
        update=update,
        protocol=FedSGD(batch_size=5),
        n=5,
        shape=SHAPE,
        classes=CLASSES,
    )
    rows, biases = update["network.0.measure.weight"], update["network.0.measure.bias"]
    expected = []
    for k in range(6):
        above = (rows[k + 1], biases[k + 1]) if k < 5 else (0.0, 0.0)
        weight, bias = rows[k] - above[0], biases[k] - above[1]
        if abs(float(bias)) > 1e-6 * float(biases.abs().max()):
            expected.append((weight / bias).view(SHAPE) / 2 + 0.5)
    found = configured("rtf").candidates(seen)
    what = "(dW_k - dW_k+1) / (db_k - db_k+1), the last row by itself (Fowl et al. 2022, equation 4)"
    fidelity("attack", "rtf", what, found, torch.stack(expected))
    alone = torch.stack([x[0], x[3], x[4]])
    nearest = torch.cdist(alone.flatten(1), found.flatten(1)).argmin(1)
    fidelity("attack", "rtf", "images that are alone in their bin, themselves", found[nearest], alone)
