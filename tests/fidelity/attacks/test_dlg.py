"""DLG, iDLG and GradInversion: sums of squares, and the searches that minimise them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from harness.core import Batch, Knowledge, Observation
from tests.conftest import CLASSES, Observe
from tests.fidelity.attacks.statements import (
    Points,
    adam,
    boxed,
    configured,
    differences,
    searched,
    slope,
    thirds,
    variation,
)
from tests.fidelity.conftest import Fidelity

GI = "GradInversion without batch statistics (Yin et al. 2021, equations 1 to 7; Li et al. 2022, section 4.1)"


def received(observe: Observe, batch: Batch) -> Observation:
    return observe(batch, knowledge=Knowledge(labels=batch.y))


def points(soft: bool) -> Points:
    draw = torch.Generator().manual_seed(2)
    found = {"images": torch.randn(3, 1, 8, 8, generator=draw, dtype=torch.float64)}
    if soft:
        found["logits"] = torch.randn(3, CLASSES, generator=draw, dtype=torch.float64)
    return found


def objective(name: str, seen: Observation, y: Tensor) -> Callable[[Points, int], Tensor]:
    def loss(at: Points, _: int) -> Tensor:
        labels = at["logits"].softmax(1) if name == "dlg" else y
        found = differences(slope(seen.params, at["images"], labels), seen.update)
        if name == "gi":
            found = found + 1e-4 * variation(at["images"]) + 1e-6 * (at["images"] ** 2).sum().sqrt()
        return found

    return loss


FORMULAS = {
    "dlg": "sum ||g' - g||^2 over all tensors, labels softmax(l) (Zhu et al. 2019, equation 3; code)",
    "idlg": "sum ||g' - g||^2 over all tensors, labels known (Zhao et al. 2020, algorithm 1; iDLG.py)",
    "gi": f"sum ||g' - g||^2 + 1e-4 TV + 1e-6 ||x||: {GI}",
}


@pytest.mark.parametrize("name", list(FORMULAS))
def test_the_objective(name: str, observe: Observe, batch: Batch, fidelity: Fidelity) -> None:
    seen, attack, at = received(observe, batch), configured(name), points(name == "dlg")
    found = attack.loss(at, seen, attack.prepare(seen))
    fidelity("attack", name, FORMULAS[name], found, objective(name, seen, batch.y)(at, 0))


@pytest.mark.parametrize("name", list(FORMULAS))
def test_the_truth_has_no_loss(name: str, observe: Observe, batch: Batch) -> None:
    seen = received(observe, batch)
    attack = configured(name, **({"total_variation": 0.0, "l2": 0.0} if name == "gi" else {}))
    at = {"images": 2 * batch.x - 1}
    if name == "dlg":
        at["logits"] = torch.full((3, CLASSES), -800.0).double().scatter(1, batch.y[:, None], 0.0)
    assert float(attack.loss(at, seen, attack.prepare(seen))) < 1e-20


@pytest.mark.parametrize("name", ["dlg", "idlg"])
def test_the_first_step_is_that_of_torch(
    name: str, observe: Observe, batch: Batch, fidelity: Fidelity
) -> None:
    """The authors' L-BFGS: rate 1, 20 moves a step, 100 pairs, no line search."""
    seen = received(observe, Batch(batch.x[:1], batch.y[:1]))
    losses, _, start = searched(configured(name), seen, 1)
    assert sorted(start) == (["images", "logits"] if name == "dlg" else ["images"])
    at = {variable: value.clone().requires_grad_() for variable, value in start.items()}
    optimizer = torch.optim.LBFGS(list(at.values()), lr=1, tolerance_grad=1e-7, tolerance_change=1e-9)
    expected: list[float] = []

    def closure() -> float:
        loss = objective(name, seen, batch.y[:1])(at, 0)
        for value, gradient in zip(at.values(), torch.autograd.grad(loss, list(at.values())), strict=True):
            value.grad = gradient
        expected.append(float(loss.detach()))
        return expected[-1]

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    what = "20 evaluations of torch's L-BFGS, rate 1, from N(0, 1) (code)"
    fidelity("attack", name, what, losses, expected, tolerance=1e-6)
    assert len(losses) == 20


def test_the_first_steps_of_gradinversion(observe: Observe, batch: Batch, fidelity: Fidelity) -> None:
    seen = received(observe, batch)
    losses, found, start = searched(configured("gi"), seen, 24)
    expected, best = adam(start, objective("gi", seen, batch.y), 24, 0.1, thirds(24), (), boxed)
    what = "24 iterates: Adam, rate .1, times .1 at 3/8, 5/8 and 7/8, boxed (Li et al. 2022, section 4.1)"
    fidelity("attack", "gi", what, losses, expected, tolerance=1e-7)
    fidelity("attack", "gi", what, found.x, best["images"] / 2 + 0.5, tolerance=1e-7)
