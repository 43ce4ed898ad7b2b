"""TuRBO: Bayesian optimisation within a trust region that grows and shrinks."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from harness.attacks.solvers.gaussian_process import GaussianProcess, package
from harness.attacks.solvers.optimizer import Optimizer, State
from harness.attacks.solvers.variables import Layout
from harness.base.numbers import Count, Positive, Steps
from harness.core import UserError, component

LENGTH, SHORTEST, LONGEST = 0.8, 0.5**7, 1.6
"""Sides of the trust region in the unit cube: the first, below which it begins anew, and the longest."""
SUCCESSES, GAIN = 3, 1e-3
"""Successive successes that double the sides, and what share of the best loss is one."""
PERTURBED = 20
"""About how many coordinates of the best point a candidate changes."""
CANDIDATES, PER_DIMENSION = 5000, 100


@component
class TuRBO(Optimizer):
    """Eriksson et al. 2019, algorithm 1 with one trust region (TuRBO-1), as Li et al. 2022 set it.

    A Latin hypercube of `initial` points in the box, then batches by Thompson sampling: of candidates around the
    region's best point each of `batch` functions drawn from a Gaussian process takes its least. A region that has
    become too small begins anew with another hypercube. All count as evaluations; the last batch is cut to the budget.
    A loss that is not finite counts as the worst of its region. It answers with the best point of all.
    """

    uses_gradient: ClassVar[bool] = False
    bound: Positive = 2.0
    """The box is [-bound, bound] in every dimension, whatever the start."""
    initial: Annotated[Count, Field(ge=2)] = 256
    batch: Count = 10
    candidates: Count | None = None
    """Null: 100 for every dimension, 5,000 at most."""
    fit_steps: Steps = 50
    """Of Adam on the Gaussian process, before every batch."""
    from_start: bool = False
    """Whether the start of the search is the first of the initial points, as it is CMA-ES's; the authors' is not."""

    def start(self, slots: int, layout: Layout, device: torch.device, dtype: torch.dtype) -> "TuRBOState":
        package()
        return TuRBOState(self, slots)


class TuRBOState(State):
    """A search for each slot, all on the host."""

    def __init__(self, rule: TuRBO, slots: int) -> None:
        self.rule = rule
        self.searches: list[RegionSearch | None] = [None] * slots

    def reset(self, slot: int, x0: Tensor, steps: int, rng: torch.Generator) -> Tensor:
        search = self.searches[slot] = RegionSearch(self.rule, x0.detach().cpu().double(), steps, rng)
        return self._point(search, x0)

    def step(self, x: Tensor, grad: Tensor | None, loss: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        points, done = x.clone(), torch.zeros_like(active)
        for slot, (value, on) in enumerate(zip(loss.tolist(), active.tolist(), strict=True)):
            search = self.searches[slot]
            if on and search is not None:
                search.tell(value)
                done[slot] = search.left == 0
                points[slot] = x[slot] if search.left == 0 else self._point(search, x[slot])
        return points, done

    def end(self, slot: int, x: Tensor) -> Tensor:
        search = self.searches[slot]
        return x if search is None else self._scaled(search.best, x)

    def _point(self, search: "RegionSearch", like: Tensor) -> Tensor:
        return self._scaled(search.ask(), like)

    def _scaled(self, point: Tensor, like: Tensor) -> Tensor:
        return (self.rule.bound * (2 * point - 1)).to(like)


@dataclass
class Region:
    """A trust region: its sides, and how it has fared of late."""

    patience: int
    """Successive failures that halve the sides."""
    length: float = LENGTH
    successes: int = 0
    failures: int = 0

    def judge(self, success: bool) -> None:
        """Take a batch into account."""
        self.successes = self.successes + 1 if success else 0
        self.failures = 0 if success else self.failures + 1
        if self.successes == SUCCESSES:
            self.length, self.successes = min(2 * self.length, LONGEST), 0
        elif self.failures == self.patience:
            self.length, self.failures = self.length / 2, 0

    def box(self, centre: Tensor, lengthscales: Tensor) -> tuple[Tensor, Tensor]:
        """Its corners [D] in the unit cube: sides in proportion to the lengthscales, of geometric mean `length`."""
        sides = self.length * (lengthscales.log() - lengthscales.log().mean()).exp()
        return (centre - sides / 2).clamp(0, 1), (centre + sides / 2).clamp(0, 1)


class RegionSearch:
    """One search in the unit cube: `ask` for a point, then `tell` its loss."""

    def __init__(self, rule: TuRBO, x0: Tensor, steps: int, rng: torch.Generator) -> None:
        self.rule, self.rng, self.size, self.left = rule, rng, len(x0), steps
        self.best, self.least = torch.full((self.size,), 0.5, dtype=torch.float64), math.inf
        self._begin()
        if rule.from_start:
            self.asked[0] = self._unit(x0)

    def ask(self) -> Tensor:
        """The next point [D]."""
        return self.asked[len(self.losses) - self.known]

    def tell(self, loss: float) -> None:
        """The loss of the point that was asked for last."""
        point = self.ask()
        self.points.append(point)
        self.losses.append(loss)
        self.left -= 1
        if loss < self.least:
            self.best, self.least = point, loss
        if len(self.losses) - self.known == len(self.asked) and self.left > 0:
            self._next()

    def _unit(self, x0: Tensor) -> Tensor:
        if float(x0.abs().max()) > self.rule.bound:
            raise UserError(
                f"optimizer.from_start: the start is outside [-{self.rule.bound:g}, {self.rule.bound:g}]"
            )
        return (x0 / self.rule.bound + 1) / 2

    def _begin(self) -> None:
        """A new region, with a hypercube of its own."""
        self.region = Region(patience=math.ceil(max(4.0, self.size) / self.rule.batch))
        self.points: list[Tensor] = []
        self.losses: list[float] = []
        self.known = 0
        """How many points the region had before those that were asked for last."""
        self.asked = latin_hypercube(min(self.rule.initial, self.left), self.size, self.rng)

    def _next(self) -> None:
        """Judge what was found, and ask for another batch."""
        y = self._finite()
        if self.known:
            before = float(y[: self.known].min())
            self.region.judge(float(y[self.known :].min()) < before - GAIN * abs(before))
        if self.region.length < SHORTEST:
            self._begin()
            return
        self.known = len(self.losses)
        self.asked = self._batch(torch.stack(self.points), y, min(self.rule.batch, self.left))

    def _finite(self) -> Tensor:
        """The losses of the region [n]."""
        y = torch.tensor(self.losses, dtype=torch.float64)
        finite = y[y.isfinite()]
        return torch.where(y.isfinite(), y, finite.max() if len(finite) else torch.zeros(()).double())

    def _batch(self, x: Tensor, y: Tensor, count: int) -> Tensor:
        """The points [count, D] to evaluate next."""
        spread = float(y.std())
        process = GaussianProcess(x, (y - y.median()) / (spread or 1.0), self.rule.fit_steps)
        centre = x[int(y.argmin())]
        candidates = self._candidates(centre, *self.region.box(centre, process.lengthscales))
        drawn = process.draw(candidates, count, self.rng)
        chosen: list[int] = []
        for function in drawn:
            function[chosen] = math.inf
            chosen.append(int(function.argmin()))
        return candidates[chosen]

    def _candidates(self, centre: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Scrambled Sobol points of the box [m, D], of whose coordinates most are the centre's, but never all."""
        count = self.rule.candidates or min(PER_DIMENSION * self.size, CANDIDATES)
        seed = int(torch.randint(2**31, (1,), generator=self.rng))
        sobol = torch.quasirandom.SobolEngine(self.size, scramble=True, seed=seed)
        points = low + (high - low) * sobol.draw(count, dtype=torch.float64)
        changed = torch.rand(count, self.size, generator=self.rng) < min(PERTURBED / self.size, 1.0)
        one = torch.randint(self.size, (count,), generator=self.rng)
        changed[torch.arange(count), one] |= ~changed.any(dim=1)
        return torch.where(changed, points, centre)


def latin_hypercube(count: int, size: int, rng: torch.Generator) -> Tensor:
    """Points [count, size] of the unit cube, one in each of `count` slices of every dimension."""
    slices = torch.rand(count, size, generator=rng, dtype=torch.float64).argsort(dim=0)
    return (slices + torch.rand(count, size, generator=rng, dtype=torch.float64)) / count
