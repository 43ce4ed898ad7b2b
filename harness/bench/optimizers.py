"""What the optimisers cost by themselves."""

import torch
from torch import Tensor, nn

from harness.attacks.solvers.cma import CMA
from harness.attacks.solvers.lbfgs import LBFGS
from harness.attacks.solvers.nevergrad import NevergradCMA
from harness.attacks.solvers.optimizer import Optimizer
from harness.attacks.solvers.variables import Layout
from harness.bench.report import BenchResult
from harness.bench.timing import interleaved
from harness.core import generator
from harness.machine.memory import reuse_freed_memory

SLOTS, HISTORY = 16, 100


def lbfgs(repeats: int) -> list[BenchResult]:
    """Batched L-BFGS and torch's, on quadratics, once the history is full."""
    reuse_freed_memory()
    details: dict[str, float | str] = {}
    ratios = {}
    for size in (784, 3072):
        curvature = torch.linspace(1, 1000, size)
        spent = interleaved({"torch": _Torch(curvature), "ours": _Batched(curvature)}, repeats)
        ratios[size] = spent["torch"] / spent["ours"]
        details |= {f"ms per step, D = {size}, {side}": 1e3 * value / SLOTS for side, value in spent.items()}
    return [BenchResult("lbfgs", ratios[3072], details)]


class _Torch:
    """torch.optim.LBFGS on SLOTS problems, one step of each per call."""

    def __init__(self, curvature: Tensor) -> None:
        self.curvature = curvature
        self.points = [nn.Parameter(torch.full_like(curvature, 100.0)) for _ in range(SLOTS)]
        self.rules = [
            torch.optim.LBFGS([p], lr=0.05, max_iter=1, tolerance_grad=0, tolerance_change=0)
            for p in self.points
        ]
        for _ in range(HISTORY + 2):
            self()

    def __call__(self) -> None:
        for point, rule in zip(self.points, self.rules, strict=True):
            point.grad = self.curvature * point.detach()
            rule.step(lambda: 1.0)


class _Batched:
    """Ours on the same problems."""

    def __init__(self, curvature: Tensor) -> None:
        self.curvature = curvature
        rule = LBFGS(lr=0.05, tolerance_grad=0, tolerance_change=0)
        self.state = rule.start(SLOTS, Layout.of(len(curvature)), curvature.device, curvature.dtype)
        self.x = torch.full((SLOTS, len(curvature)), 100.0)
        for slot in range(SLOTS):
            self.state.reset(slot, self.x[slot], 10**9, generator("lbfgs"))
        self.loss = torch.ones(SLOTS)
        for _ in range(HISTORY + 2):
            self()
        assert int(self.state.kept.min()) >= HISTORY

    def __call__(self) -> None:
        self.loss = self.loss * 0.999  # a level loss would end torch's step()
        active = torch.ones(SLOTS, dtype=torch.bool)
        self.x, _ = self.state.step(self.x, self.curvature * self.x, self.loss, active)


def evolution(repeats: int) -> list[BenchResult]:
    """CMA-ES on a sphere of 128 dimensions: what one candidate costs beside its evaluation."""
    details: dict[str, float | str] = {}
    rules: list[tuple[str, Optimizer, int]] = [
        ("torch, 1 slot", CMA(), 1),
        ("torch, 16 slots", CMA(), 16),
        ("nevergrad, 1 slot", NevergradCMA(), 1),
    ]
    calls = {name: _Sphere(rule, slots) for name, rule, slots in rules}
    spent = interleaved(calls, max(3, repeats // 4))
    for name, _, slots in rules:
        details[f"ms per candidate, {name}"] = 1e3 * spent[name] / slots / _Sphere.candidates
    return [BenchResult("ggl_optimizer", float(details["ms per candidate, torch, 1 slot"]), details)]


class _Sphere:
    candidates = 110

    def __init__(self, rule: Optimizer, slots: int) -> None:
        self.slots = slots
        self.x = torch.ones(slots, 128)
        self.state = rule.start(slots, Layout.of(128), self.x.device, self.x.dtype)
        for slot in range(slots):
            self.x[slot] = self.state.reset(slot, self.x[slot], 10**9, generator("sphere", slot))

    def __call__(self) -> None:
        active = torch.ones(self.slots, dtype=torch.bool)
        for _ in range(self.candidates):
            self.x, _ = self.state.step(self.x, None, self.x.square().sum(1), active)
