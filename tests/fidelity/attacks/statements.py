"""Attacks as conf/ sets them, the small network of tests/conftest.py written out, and the loops of the authors."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import hydra
import torch
from omegaconf import OmegaConf
from torch import Tensor
from torch.nn import functional as F

from harness.attacks.optimization import OptimizationAttack
from harness.base.components import build
from harness.base.schema import CONF, prepare_hydra
from harness.core import Batch, Observation, Reconstruction

Weights = Mapping[str, Tensor]
Points = dict[str, Tensor]
Objective = Callable[[Points, int], Tensor]
"""The variables and the number of the step, from 0, to the loss."""


def configured(name: str, **changes: Any) -> Any:
    """The attack of conf/attack/NAME.yaml, with changes; of its optimiser under `optimizer`, a mapping."""
    prepare_hydra()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        setting: Any = OmegaConf.to_container(hydra.compose("config", [f"attack={name}"]).attack)
    if "optimizer" in setting:
        setting["optimizer"] |= changes.pop("optimizer", {})
    return build("attack", setting | changes)


def one_of_each(count: int, shape: tuple[int, int, int]) -> Batch:
    """So many images of noise, each of a class of its own, in float64."""
    draw = torch.Generator().manual_seed(4)
    return Batch(torch.rand(count, *shape, generator=draw, dtype=torch.float64), torch.arange(count))


def logits(weights: Weights, u: Tensor) -> Tensor:
    """`tests.conftest.smooth_network` of images in its own units."""
    x = F.conv2d(u, weights["network.0.weight"], weights["network.0.bias"], stride=2, padding=1)
    x = F.linear(x.sigmoid().flatten(1), weights["network.3.weight"], weights["network.3.bias"])
    return F.linear(x.sigmoid(), weights["network.5.weight"], weights["network.5.bias"])


def cross_entropy(scores: Tensor, y: Tensor) -> Tensor:
    """-mean_i sum_c y_ic log p_ic; y are classes [n], or probabilities [n, classes]."""
    if y.dim() == 1:
        y = F.one_hot(y, scores.shape[1]).to(scores)
    return -(y * (scores - scores.logsumexp(1, keepdim=True))).sum(1).mean()


def slope(weights: Weights, u: Tensor, y: Tensor) -> Points:
    """The gradient of the cross-entropy in the weights, itself differentiable."""
    held = {name: w.detach().requires_grad_() if w.is_leaf else w for name, w in weights.items()}
    loss = cross_entropy(logits(held, u), y)
    found = torch.autograd.grad(loss, list(held.values()), create_graph=True)
    return dict(zip(held, found, strict=True))


def differences(ours: Weights, theirs: Weights) -> Tensor:
    """sum over tensors and entries of (a - b)^2."""
    return torch.stack([((ours[name] - theirs[name]) ** 2).sum() for name in theirs]).sum()


def angle(ours: Weights, theirs: Weights) -> Tensor:
    """1 - cos of the vectors that all tensors make together."""
    a, b = (torch.cat([each[name].flatten() for name in theirs]) for each in (ours, theirs))
    return 1 - (a @ b) / (a.norm() * b.norm())


def variation(u: Tensor) -> Tensor:
    """mean |dx| + mean |dy|."""
    across = (u[:, :, :, :-1] - u[:, :, :, 1:]).abs().mean()
    return across + (u[:, :, :-1, :] - u[:, :, 1:, :]).abs().mean()


def boxed(points: Points) -> None:
    """Images normalised by .5 to within [-1, 1]."""
    with torch.no_grad():
        points["images"].clamp_(-1, 1)


def adam(
    points: Points,
    objective: Objective,
    steps: int,
    lr: float,
    rate: Callable[[int], float],
    signed: tuple[str, ...] = (),
    project: Callable[[Points], None] = lambda _: None,
) -> tuple[list[float], Points]:
    """The losses at each of some steps of Kingma and Ba's Adam, and the point with the least of them."""
    points = {name: value.clone().requires_grad_() for name, value in points.items()}
    mean = {name: torch.zeros_like(value) for name, value in points.items()}
    square = {name: torch.zeros_like(value) for name, value in points.items()}
    losses: list[float] = []
    best = points
    for step in range(steps):
        loss = objective(points, step)
        slopes = torch.autograd.grad(loss, list(points.values()))
        if not losses or float(loss.detach()) < min(losses):
            best = {name: value.detach().clone() for name, value in points.items()}
        losses.append(float(loss.detach()))
        for name, gradient in zip(points, slopes, strict=True):
            gradient = gradient.sign() if name in signed else gradient
            mean[name] = 0.9 * mean[name] + 0.1 * gradient
            square[name] = 0.999 * square[name] + 0.001 * gradient**2
            first, second = mean[name] / (1 - 0.9 ** (step + 1)), square[name] / (1 - 0.999 ** (step + 1))
            with torch.no_grad():
                points[name] -= lr * rate(step) * first / (second.sqrt() + 1e-8)
        project(points)
    return losses, best


def thirds(steps: int) -> Callable[[int], float]:
    """Geiping et al.'s MultiStepLR: times .1 from floor(n / 2.667), floor(n / 1.6) and floor(n / 1.142) on."""
    milestones = [int(steps // 2.667), int(steps // 1.6), int(steps // 1.142)]
    return lambda step: float(0.1 ** sum(step >= each for each in milestones))


def searched(
    attack: OptimizationAttack, seen: Observation, steps: int
) -> tuple[list[float], Reconstruction, Points]:
    """Every loss of our own search of so many evaluations, what it found, and where it began."""
    attack = replace(attack, steps=steps, restarts=1, engine="loop")
    found = attack.reconstruct(seen, torch.Generator().manual_seed(11))
    start = attack.initial(seen, torch.Generator().manual_seed(11))
    return (
        [point["loss"] for point in found.trace],
        found,
        {name: value.double() for name, value in start.items()},
    )
