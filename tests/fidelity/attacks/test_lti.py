"""LTI: the map, its error, and the gradients that it learns from, written out; and the two controls beside it."""

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import torch
from torch import Tensor

from harness.attacks.inverter import Inverter, compressor, flattened, public_pairs, squared_error
from harness.core import Batch, Images, Knowledge, generator
from tests.conftest import Observe
from tests.fidelity.attacks.statements import configured, slope
from tests.fidelity.conftest import Fidelity

NAMES = "lti", "lti_small"
WHAT = "(Wu et al. 2023; code)"


class Public(Images):
    """Eight float64 images of four classes."""

    def __init__(self) -> None:
        self.x = torch.rand(8, 1, 8, 8, generator=generator("public"), dtype=torch.float64)
        self.labels, self.indices = torch.arange(8) % 5, list(range(8))

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.x[row], int(self.labels[row])


def test_the_inverter(fidelity: Fidelity) -> None:
    inverter = Inverter(7, 5, 2, (1, 3, 2)).double()
    rng = generator("statistics")
    for value in (inverter.mean, inverter.std):
        value.copy_(torch.rand(7, generator=rng) + 0.5)
    features = torch.randn(4, 7, generator=rng, dtype=torch.float64)
    w1, b1, w2, b2, w3, b3 = (value.detach() for value in inverter.parameters())
    h = ((features - inverter.mean) / inverter.std @ w1.T + b1).clamp_min(0)
    expected = 1 / (1 + (-((h @ w2.T + b2).clamp_min(0) @ w3.T + b3)).exp())
    for name in NAMES:
        what = f"linear, ReLU, linear, ReLU, linear, sigmoid {WHAT}, of standardised updates"
        fidelity("attack", name, what, inverter(features), expected.view(4, 2, 1, 3, 2))


def test_the_error_knows_no_order(fidelity: Fidelity) -> None:
    rng = generator("images")
    made, images = (torch.rand(3, 3, 1, 2, 2, generator=rng, dtype=torch.float64) for _ in range(2))
    orders = [list(order) for order in permutations(range(3))]
    least = [
        min((m - i[order]).square().mean() for order in orders) for m, i in zip(made, images, strict=True)
    ]
    for name in NAMES:
        what = "MSE of the order of images that makes it least (section 3.2)"
        fidelity("attack", name, what, squared_error(made, images), torch.stack(least).mean())


def test_it_learns_from_the_updates_that_public_images_cause(
    observe: Observe, batch: Batch, fidelity: Fidelity
) -> None:
    public = Public()
    seen, rows = observe(batch, knowledge=Knowledge(public=public)), torch.tensor([[3, 1, 6], [0, 2, 7]])
    size = sum(value.numel() for value in seen.params.values())
    for name, kind in zip(NAMES, ("none", "projection"), strict=True):
        assert configured(name).compression == kind
        compress = compressor(kind, size, 50, seen.params["network.0.weight"])  # type: ignore[arg-type]
        pairs = public_pairs(seen, public, rows, compress)
        plain = [slope(seen.params, 2 * public.x[row] - 1, public.labels[row]) for row in rows]
        flat = torch.stack([torch.cat([g.flatten() for g in each.values()]) for each in plain])
        matrix = torch.randn(size, 50, generator=generator("compressed update", size, 50)).double() / 50**0.5
        expected = flat if kind == "none" else flat @ matrix
        fidelity("attack", name, f"gradients of public batches {WHAT}: {kind}", pairs.features, expected)
        fidelity("attack", name, "targets: their images in [0, 1]", pairs.images, public.x[rows])
    bins = torch.randint(50, (size,), generator=generator("compressed update", size, 50))
    expected = torch.stack([flat[:, bins == each].sum(1) for each in range(50)], dim=1)
    hashed = compressor("hash", size, 50, flat)(flat)
    fidelity("attack", "lti", f"compression=hash: sums over random bins {WHAT}", hashed, expected)
    mine = compressor("projection", size, 50, flat)(flattened(seen.update))
    what = "the client's update is projected by the same matrix"
    fidelity("attack", "lti_small", what, mine, flattened(seen.update) @ matrix)


def test_the_controls(observe: Observe, batch: Batch, fidelity: Fidelity, tmp_path: Path) -> None:
    public = Public()
    seen = observe(batch, knowledge=Knowledge(labels=batch.y, public=public))
    for name, expected in (
        ("public_mean", public.x.mean(0, keepdim=True).expand(3, -1, -1, -1)),
        ("public_class_mean", torch.stack([public.x[public.labels == y].mean(0) for y in batch.y])),
    ):
        attack = configured(name)
        learned = attack.learn(seen, str(tmp_path), {})
        told = replace(seen, knowledge=replace(seen.knowledge, learned=learned))
        found = attack.reconstruct(told, torch.Generator())
        fidelity(
            "attack", name, "the mean of public images, kept in float32", found.x, expected, tolerance=1e-6
        )
