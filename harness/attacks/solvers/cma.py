"""CMA-ES for many problems at once."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from harness.attacks.solvers.optimizer import Optimizer, State
from harness.attacks.solvers.variables import Layout
from harness.base.numbers import Count, Positive
from harness.core import component

CONDITION = 1e14
"""The largest ratio of the covariance's eigenvalues."""


@component
class CMA(Optimizer):
    """Hansen 2016, "The CMA evolution strategy: a tutorial" (arXiv 1604.00772), with its default parameters.

    The first population is drawn around x0, which itself is not evaluated. There are no restarts. A loss that is
    not a number ranks last.
    """

    uses_gradient: ClassVar[bool] = False
    sigma: Positive = 1.0
    """Standard deviation of the first population."""
    population: Annotated[Count, Field(ge=2)] | None = None
    """Candidates per generation; null: 4 + 3 ln D."""
    tolerance: Positive = 1e-11
    """Done when a population's largest standard deviation is below this."""

    def start(self, slots: int, layout: Layout, device: torch.device, dtype: torch.dtype) -> "CMAState":
        return CMAState(self, slots, layout.size, device, dtype)


@dataclass(frozen=True)
class Parameters:
    """The tutorial's table 1 for n dimensions and `population` candidates, by the tutorial's names."""

    n: int
    population: int

    @cached_property
    def raw(self) -> Tensor:
        return math.log((self.population + 1) / 2) - torch.arange(1, self.population + 1).double().log()

    @cached_property
    def mu_eff(self) -> float:
        return _effective(self.raw[: self.population // 2])

    @cached_property
    def c_sigma(self) -> float:
        return (self.mu_eff + 2) / (self.n + self.mu_eff + 5)

    @cached_property
    def d_sigma(self) -> float:
        return 1 + 2 * max(0.0, math.sqrt((self.mu_eff - 1) / (self.n + 1)) - 1) + self.c_sigma

    @cached_property
    def c_c(self) -> float:
        return (4 + self.mu_eff / self.n) / (self.n + 4 + 2 * self.mu_eff / self.n)

    @cached_property
    def c_1(self) -> float:
        return 2 / ((self.n + 1.3) ** 2 + self.mu_eff)

    @cached_property
    def c_mu(self) -> float:
        share = 0.25 + self.mu_eff + 1 / self.mu_eff - 2
        return min(1 - self.c_1, 2 * share / ((self.n + 2) ** 2 + self.mu_eff))

    @cached_property
    def weights(self) -> Tensor:
        """Recombination weights [population]; those of the worse half are negative."""
        negative = self.raw[self.population // 2 :]
        alpha = min(
            1 + self.c_1 / self.c_mu,
            1 + 2 * _effective(negative) / (self.mu_eff + 2),
            (1 - self.c_1 - self.c_mu) / (self.n * self.c_mu),
        )
        better, worse = self.raw.clamp(min=0), self.raw.clamp(max=0)
        return better / better.sum() - alpha * worse / worse.sum()

    @cached_property
    def expected_norm(self) -> float:
        """E||N(0, I)||."""
        return math.sqrt(self.n) * (1 - 1 / (4 * self.n) + 1 / (21 * self.n**2))

    @cached_property
    def gap(self) -> int:
        """Generations between two eigendecompositions."""
        return max(1, int(1 / ((self.c_1 + self.c_mu) * self.n * 10)))


def _effective(weights: Tensor) -> float:
    return float(weights.sum() ** 2 / weights.square().sum())


class CMAState(State):
    """In double precision; `place` counts each slot's candidates of the current generation that were evaluated."""

    def __init__(self, rule: CMA, slots: int, size: int, device: torch.device, dtype: torch.dtype) -> None:
        population = rule.population or 4 + int(3 * math.log(size))
        self.rule, self.dtype = rule, dtype
        self.parameters = Parameters(size, population)
        self.weights = self.parameters.weights.to(device)
        zeros = torch.zeros((), dtype=torch.float64, device=device).new_zeros
        self.mean, self.path_sigma, self.path_c = (zeros(slots, size) for _ in range(3))
        self.sigma, self.scales = zeros(slots), zeros(slots, size)
        self.covariance, self.basis = zeros(slots, size, size), zeros(slots, size, size)
        self.normal = zeros(slots, self.parameters.population, size)
        self.offsets = torch.zeros_like(self.normal)
        """The population's (x - mean) / sigma [S, population, D]; `normal` is what it was made from."""
        self.loss = zeros(slots, self.parameters.population)
        self.place, self.generation, self.left = [0] * slots, [0] * slots, [0] * slots
        self.rng: list[torch.Generator] = [torch.Generator() for _ in range(slots)]

    def reset(self, slot: int, x0: Tensor, steps: int, rng: torch.Generator) -> Tensor:
        self.mean[slot] = x0
        self.path_sigma[slot] = self.path_c[slot] = 0
        self.sigma[slot], self.scales[slot] = self.rule.sigma, 1
        self.covariance[slot] = self.basis[slot] = torch.eye(len(x0), device=x0.device)
        self.generation[slot], self.left[slot], self.rng[slot] = 0, steps, rng
        self._sample([slot])
        return self._points()[slot]

    def step(self, x: Tensor, grad: Tensor | None, loss: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        working = [slot for slot, on in enumerate(active.tolist()) if on and self.left[slot]]
        self.loss[working, [self.place[slot] for slot in working]] = loss[working].double()
        for slot in working:
            self.place[slot] += 1
            self.left[slot] -= 1
        full = [slot for slot in working if self.place[slot] == self.parameters.population]
        if full:
            self._adapt(full)
            self._sample(full)
        moving = torch.zeros_like(active)
        moving[[slot for slot in working if self.left[slot]]] = True
        return torch.where(moving[:, None], self._points(), x), active & ~moving

    def end(self, slot: int, x: Tensor) -> Tensor:
        """The mean, the tutorial's estimate of the optimum."""
        return self.mean[slot].to(self.dtype)

    def _points(self) -> Tensor:
        """Each slot's next candidate [S, D]."""
        offset = self.offsets[list(range(len(self.place))), self.place]
        return (self.mean + self.sigma[:, None] * offset).to(self.dtype)

    def _sample(self, slots: list[int]) -> None:
        """Draw new populations (eqs. 38-40)."""
        shape = self.normal.shape[1:]
        normal = torch.stack([torch.randn(shape, generator=self.rng[s], dtype=torch.float64) for s in slots])
        self.normal[slots] = normal = normal.to(self.normal.device)
        self.offsets[slots] = (normal * self.scales[slots, None]) @ self.basis[slots].mT
        for slot in slots:
            self.place[slot] = 0

    def _adapt(self, slots: list[int]) -> None:
        """Move the means, then adapt step sizes and covariances (eqs. 41-47), to the populations' losses."""
        p = self.parameters
        order = self.loss[slots].nan_to_num(nan=math.inf).argsort(dim=1, stable=True)
        offsets = self.offsets[slots].take_along_dim(order[:, :, None], 1)
        normal = self.normal[slots].take_along_dim(order[:, :, None], 1)
        recombination = self.weights.clamp(min=0)
        step = recombination @ offsets
        self.mean[slots] += self.sigma[slots, None] * step

        whitened = ((recombination @ normal)[:, None] @ self.basis[slots].mT)[:, 0]
        rate = math.sqrt(p.c_sigma * (2 - p.c_sigma) * p.mu_eff)
        path = (1 - p.c_sigma) * self.path_sigma[slots] + rate * whitened
        length = path.norm(dim=1) / p.expected_norm
        self.path_sigma[slots] = path
        self.sigma[slots] *= (p.c_sigma / p.d_sigma * (length - 1)).exp()

        age = torch.tensor([self.generation[slot] + 1 for slot in slots], device=path.device)
        settled = (1 - (1 - p.c_sigma) ** (2 * age)).sqrt()
        steady = (length < settled * (1.4 + 2 / (p.n + 1))).double()[:, None]
        rate = math.sqrt(p.c_c * (2 - p.c_c) * p.mu_eff)
        path = (1 - p.c_c) * self.path_c[slots] + steady * rate * step
        self.path_c[slots] = path
        self._adapt_covariance(slots, path, steady, offsets, normal)

    def _adapt_covariance(
        self, slots: list[int], path: Tensor, steady: Tensor, offsets: Tensor, normal: Tensor
    ) -> None:
        p = self.parameters
        shrunk = torch.where(self.weights < 0, p.n / normal.square().sum(2), 1.0)
        vectors = torch.cat([path[:, None], offsets], 1)
        weights = torch.cat([torch.full_like(steady, p.c_1), p.c_mu * self.weights * shrunk], 1)
        kept = 1 + p.c_1 * (1 - steady) * p.c_c * (2 - p.c_c) - p.c_1 - p.c_mu * self.weights.sum()
        self.covariance[slots] = torch.baddbmm(
            kept[:, :, None] * self.covariance[slots], (weights[:, :, None] * vectors).mT, vectors
        )
        for slot in slots:
            self.generation[slot] += 1
        due = [slot for slot in slots if self.generation[slot] % p.gap == 0]
        if due:
            self._decompose(due)

    def _decompose(self, slots: list[int]) -> None:
        values, self.basis[slots] = torch.linalg.eigh(self.covariance[slots])
        values = values.maximum(values[:, -1:] / CONDITION)
        self.scales[slots] = values.sqrt()
        widest = (self.sigma[slots] * self.scales[slots, -1]).tolist()
        for slot, width in zip(slots, widest, strict=True):
            if not width > self.rule.tolerance:
                self.left[slot] = 0
