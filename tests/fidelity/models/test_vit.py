"""The vision transformer as a function of its weights."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.models.vit import ViT
from tests.fidelity.conftest import Fidelity
from tests.fidelity.models.written_out import Weights, configured_model, count, images, made

WIDTH, HEADS, SIDE, SIZE = 24, 2, 4, 8


def place(row: int, column: int) -> list[float]:
    """sin and cos of column and row, times 10000^(-k / (d/4 - 1)) (Beyer et al. 2022, posemb_sincos_2d)."""
    quarter = WIDTH // 4
    rates = [1 / 10_000 ** (k / (quarter - 1)) for k in range(quarter)]
    return [f(at * rate) for at in (column, row) for f in (math.sin, math.cos) for rate in rates]


def attended(w: Weights, x: Tensor) -> Tensor:
    """One image's tokens [t, width], head by head (Vaswani et al. 2017, equation 1)."""
    joint, out = next(w.parameters), next(w.parameters)
    query, key, value = (x @ part.T for part in joint.split(HEADS * 64))
    heads = []
    for head in range(HEADS):
        q, k, v = (each[:, 64 * head : 64 * head + 64] for each in (query, key, value))
        scores = (q @ k.T / 8).exp()
        heads.append(scores / scores.sum(1, keepdim=True) @ v)
    return torch.cat(heads, 1) @ out.T


def test_vit_tiny(fidelity: Fidelity) -> None:
    size = 12 * (3 * 192 * 192 + 192 * 192 + 2 * 192 * 768 + 768 + 192 + 4 * 192)
    size += 2 * 48 + 48 * 192 + 192 + 2 * 192 + 2 * 192 + 192 * 10 + 10
    with torch.device("meta"):
        network = configured_model("vit_tiny").network((3, 32, 32), 10)
    what = "width 192, depth 12, heads 3 of 64, hidden 768: parameters (Guo et al. 2025, code; patch 4)"
    fidelity("model", "vit_tiny", what, count(network), size, tolerance=0)
    small = ViT(width=WIDTH, heads=HEADS, depth=2, hidden=10)
    network, x = made(small, (3, SIZE, SIZE), 5), images(3, SIZE, SIZE)
    expected = torch.stack([logits(Weights(network), image) for image in x])
    what = (
        "patches, sine and cosine positions, blocks that normalise first, mean of tokens (Beyer et al. 2022)"
    )
    fidelity("model", "vit_tiny", what, network(x), expected, tolerance=1e-6)


def logits(w: Weights, image: Tensor) -> Tensor:
    corners = [(row, column) for row in range(0, SIZE, SIDE) for column in range(0, SIZE, SIDE)]
    patches = [image[:, r : r + SIDE, c : c + SIDE].permute(1, 2, 0).flatten() for r, c in corners]
    h = w.layer_normalisation(w.linear(w.layer_normalisation(torch.stack(patches))))
    h = h + torch.tensor([place(r // SIDE, c // SIDE) for r, c in corners], dtype=torch.float64)
    for _ in range(2):
        h = h + attended(w, w.layer_normalisation(h))
        h = h + w.linear(F.gelu(w.linear(w.layer_normalisation(h))))
    found = w.linear(w.layer_normalisation(h).mean(0))
    assert w.used()
    return found
