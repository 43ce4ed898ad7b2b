"""Problems to minimise, and a loop that drives an optimiser as the engine does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.attacks.solvers.optimizer import Optimizer
from harness.attacks.solvers.variables import Layout

Problem = Callable[[Tensor], tuple[Tensor, Tensor]]
"""A point [D] to the loss and its gradient there."""


@dataclass
class Run:
    """What one slot evaluated before it was done, and where it then stood."""

    points: list[Tensor] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    last: Tensor = field(default_factory=lambda: torch.empty(0))

    @property
    def best(self) -> float:
        return min(self.losses)


def minimise(
    optimizer: Optimizer,
    problems: Sequence[Problem],
    starts: Sequence[Tensor],
    steps: int,
    seeds: Sequence[int] | None = None,
) -> list[Run]:
    """All problems side by side, one per slot, until every one is done."""
    slots = len(problems)
    state = optimizer.start(slots, Layout.of(starts[0].numel()), starts[0].device, starts[0].dtype)
    rngs = [torch.Generator().manual_seed(seed) for seed in seeds or range(slots)]
    x = torch.stack([state.reset(slot, starts[slot], steps, rngs[slot]) for slot in range(slots)])
    runs = [Run() for _ in problems]
    active = torch.ones(slots, dtype=torch.bool)
    while active.any():
        grad, loss = evaluate(problems, x)
        for slot in active.nonzero().flatten().tolist():
            runs[slot].points.append(x[slot])
            runs[slot].losses.append(float(loss[slot]))
        x, done = state.step(x, grad if optimizer.uses_gradient else None, loss, active)
        active = active & ~done
    for run, point in zip(runs, x, strict=True):
        run.last = point
    return runs


def evaluate(problems: Sequence[Problem], x: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients [S, D] and losses [S] of problems at their points [S, D]."""
    found = [problem(point) for problem, point in zip(problems, x, strict=True)]
    return torch.stack([grad for _, grad in found]), torch.stack([loss for loss, _ in found])


def of(function: Callable[[Tensor], Tensor]) -> Problem:
    """A problem from a scalar function."""

    def problem(x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.detach().requires_grad_()
        loss = function(x)
        return loss.detach(), torch.autograd.grad(loss, x)[0]

    return problem


def rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def quadratic(size: int, condition: float, dtype: torch.dtype = torch.float64) -> Problem:
    """0.5 sum c_i (x_i - 1)^2 with c from 1 to `condition`."""
    curvature = torch.linspace(1, condition, size, dtype=dtype)
    return lambda x: (0.5 * (curvature * (x - 1) ** 2).sum(), curvature * (x - 1))


def deep_leakage(seed: int, dtype: torch.dtype = torch.float64) -> tuple[Problem, Tensor]:
    """DLG on the sigmoid LeNet, 1x16x16 and 5 classes: image and soft label from a gradient; with a start."""
    rng = torch.Generator().manual_seed(seed)
    conv = [(12, 1, 5, 5), (12,), (12, 12, 5, 5), (12,), (12, 12, 5, 5), (12,), (5, 192), (5,)]
    weights = [(torch.rand(shape, generator=rng, dtype=dtype) - 0.5).requires_grad_() for shape in conv]

    def gradient(image: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        h = image.view(1, 1, 16, 16)
        for layer, stride in enumerate((2, 2, 1)):
            h = F.conv2d(h, weights[2 * layer], weights[2 * layer + 1], stride, 2).sigmoid()
        loss = F.cross_entropy(F.linear(h.flatten(1), *weights[6:]), target[None])
        return torch.autograd.grad(loss, weights, create_graph=True)

    truth = F.interpolate(torch.rand(1, 1, 4, 4, generator=rng, dtype=dtype), (16, 16), mode="bilinear")
    label = F.one_hot(torch.tensor(seed % 5), 5).to(dtype)
    received = [g.detach() for g in gradient(truth, label)]

    def mismatch(x: Tensor) -> Tensor:
        trial = gradient(x[:256], x[256:].softmax(0))
        return torch.stack([(a - b).square().sum() for a, b in zip(trial, received, strict=True)]).sum()

    return of(mismatch), torch.randn(261, generator=rng, dtype=dtype)
