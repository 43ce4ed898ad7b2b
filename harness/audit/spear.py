"""SPEAR: the inputs of a ReLU layer from the gradient of a small batch, exactly, as far as its units tell."""

import itertools
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.audit.dense import Dense

DRAWS = 16384
"""Subsets of rows that are tried at once."""
FAVOURS = (0.0, 1.0, 2.0)
"""Powers of a unit's gradient by which small ones are favoured, in turn."""
FEWEST = 0.04
"""Of the units, beyond the inputs' number, the least that an input leaves off."""
ROUNDS = 1
"""How often mixtures are taken apart, whenever another direction is chosen."""
TRIED = 256
"""Quotients of two directions that are looked at."""
LOOSE, STRICT = 40.0, 6.0
"""Deviations of noise up to which a value may be zero: at first sight, and when it is known well."""
APART = 0.005
"""How far a direction must be from the span of those chosen to be another."""
ROUNDING = 1e-7
"""Of a layer's values together: so near to zero, single precision may switch a unit on or off."""


@dataclass(frozen=True, eq=False)
class Found:
    """Inputs [k, inputs], the gradient [k, units] of their units, and which of them [k] agree with it: they switch on
    the units that have one. Where all agree they are right; a few alone may still hold a little of another."""

    inputs: Tensor
    slopes: Tensor
    agree: Tensor


class _Search:
    """The factors of a gradient: `left` [units, n] by `right` [n, inputs + 1], where the noise is the same everywhere.

    A direction q [n] stands for an input where left @ q is zero at the units that the input leaves off.
    """

    def __init__(self, dense: Dense, n: int, rng: torch.Generator) -> None:
        u, s, vh = dense.singular
        self.white, self.scale, self.right = u[:, :n], s[:n], vh[:n]
        self.left = self.white * self.scale
        self.n, self.rng = n, rng
        self.noise = max(dense.deviation, 1e-15 * float(s[0]))
        self.alive = (self.left.norm(dim=1) > LOOSE * self.noise).nonzero().flatten()
        self.enough = n + FEWEST * len(self.alive)
        self.chosen = self.left.new_zeros(0, n)
        """Directions [k, n], those with the most zeros first, none in the span of those before."""

    def draw(self, favour: float) -> bool:
        """Try one lot of subsets: n - 1 units that one input leaves off have its direction as their null vector.

        `favour`: how much more often units with a small gradient are drawn, which more inputs leave off. Returns
        whether other directions are chosen now.
        """
        size = self.left[self.alive].norm(dim=1)
        drawn = torch.rand(DRAWS, len(self.alive), generator=self.rng, dtype=size.dtype).log()
        system = self.white[self.alive[(drawn * size**favour).topk(self.n - 1, dim=1).indices]]
        solution, _ = torch.linalg.solve_ex(system[:, :, :-1], -system[:, :, -1:])
        white = torch.cat([solution.squeeze(2), torch.ones_like(solution[:, 0])], 1)
        white = white[torch.isfinite(white).all(1)]
        candidates = white / white.norm(dim=1, keepdim=True) / self.scale
        candidates = candidates[self._zero(candidates, LOOSE).sum(1) >= self.enough]
        before = self.chosen
        self._choose(self._apart(torch.cat([before, candidates]), LOOSE))
        if changed := self.chosen.shape != before.shape or not torch.equal(self.chosen, before):
            for _ in range(ROUNDS):
                places = range(len(self.chosen))
                taken_apart = [*map(self._unmixed, places), *map(self._within, self.chosen)]
                self._choose(torch.cat([self.chosen, *taken_apart]))
        return changed

    def _choose(self, candidates: Tensor) -> None:
        refined = [found for each in candidates if (found := self._refined(each)) is not None]
        if refined:
            self.chosen = self._apart(torch.stack(refined), STRICT)

    def _unmixed(self, place: int) -> Tensor:
        """[k, n]: the chosen direction at a place less as much of each other one as gives it the most zeros.

        A mixture of two inputs has the zeros that both have; at the other zeros of the one, the quotient of the two
        directions is the same.
        """
        own, found = self.chosen[place], []
        values = self.chosen @ self.left[self.alive].T
        for other in (k for k in range(len(self.chosen)) if k != place):
            shares = -values[place] / values[other]
            some = torch.isfinite(shares).nonzero().flatten()
            some = some[torch.randperm(len(some), generator=self.rng)[:TRIED]]
            trials = own + shares[some, None] * self.chosen[other]
            if len(trials):
                found.append(trials[self._zero(trials, LOOSE).sum(1).argmax()])
        return torch.stack(found) if found else self.chosen[:0]

    def _within(self, direction: Tensor) -> Tensor:
        """[k, n]: what a mixture of inputs that are all unknown consists of: nothing else vanishes where it does."""
        off = self._zero(direction[None], STRICT)[0]
        _, values, axes = torch.linalg.svd(self.left[self.alive[off]], full_matrices=True)
        nil = int((values <= STRICT * self.noise * len(self.alive) ** 0.5).sum()) + self.n - len(values)
        if nil < 2:
            return self.chosen[:0]
        basis, others = axes[-nil:], self.alive[~off]
        drawn = torch.randint(len(others), (TRIED, nil - 1), generator=self.rng)
        inner = torch.linalg.svd(self.left[others[drawn]] @ basis.T, full_matrices=True).Vh[:, -1]
        found = inner @ basis
        return self._apart(found[self._zero(found, LOOSE).sum(1) >= self.enough], LOOSE)

    def _zero(self, directions: Tensor, deviations: float) -> Tensor:
        """[k, alive]: where directions [k, n] leave no more than noise."""
        values = (directions @ self.left[self.alive].T).abs()
        silent: Tensor = values <= deviations * self.noise * directions.norm(dim=1, keepdim=True)
        return silent

    def _refined(self, direction: Tensor) -> Tensor | None:
        """A direction by all its zeros together; None where few are left."""
        for deviations in (LOOSE, LOOSE / 2, STRICT):
            off = self._zero(direction[None], deviations)[0]
            if int(off.sum()) < self.enough:
                return None
            direction = torch.linalg.svd(self.left[self.alive[off]], full_matrices=True).Vh[-1]
        return direction

    def _apart(self, directions: Tensor, deviations: float) -> Tensor:
        """Of directions [k, n], those with the most zeros that are in nobody's span: mixtures of sparse ones have
        more zeros than a dense one has."""
        left = directions[self._zero(directions, deviations).sum(1).argsort(descending=True, stable=True)]
        rest = left * self.scale
        rest = rest / rest.norm(dim=1, keepdim=True)
        found: list[Tensor] = []
        while len(left) and len(found) < self.n:
            found.append(left[0])
            axis = rest[0] / rest[0].norm()
            rest = rest - (rest @ axis)[:, None] * axis
            apart = rest.norm(dim=1) > APART
            left, rest = left[apart], rest[apart]
        return torch.stack(found) if found else directions[:0]

    def found(self, dense: Dense) -> Found:
        """The inputs of n chosen directions, each held to the units that it would switch on.

        An error within the noise is none; nor is a unit too near to zero to tell.
        """
        solved = torch.linalg.inv(self.chosen.T)
        size = solved @ self.right[:, -1]
        inputs = solved @ self.right[:, :-1] / size[:, None]
        slopes = (self.left @ self.chosen.T).T * size[:, None]
        quiet = slopes.abs() <= STRICT * self.noise * (self.chosen.norm(dim=1) * size.abs())[:, None]
        values = inputs @ dense.weight.T + dense.bias
        doubt = self.noise * (solved / self.scale).norm(dim=1) / size.abs()
        margin = STRICT * doubt[:, None] * dense.weight.norm(dim=1) + ROUNDING * values.norm(
            dim=1, keepdim=True
        )
        off, on = values < -margin, values > margin
        typical = slopes.abs().sum(1) / (~quiet).sum(1).clamp_min(1)
        threshold = STRICT * self.noise * self.chosen.norm(dim=1) * size.abs()
        expected = 1 + 4 * on.sum(1) * threshold / typical
        agree = ((off & ~quiet).sum(1) == 0) & ((on & quiet).sum(1) <= expected)
        told = (off.sum(1) >= self.n) & ((on & ~quiet).sum(1) >= self.n)
        return Found(inputs, slopes, agree & told & torch.isfinite(inputs).all(1))


def _nothing(dense: Dense) -> Found:
    return Found(dense.slope[:0], dense.slope.T[:0], torch.zeros(0, dtype=torch.bool))


def spear(dense: Dense, n: int, seconds: float, rng: torch.Generator) -> Found:
    """Dimitrov et al. 2024 (SPEAR), algorithm 1, for n distinct inputs, with the bias's gradient as a column of ones,
    thresholds from the known noise, and mixtures taken apart.

    The layer's units must be followed by ReLU. Searches until all agree or the seconds are over.
    """
    search = _Search(dense, n, rng)
    if n == 1:
        search.chosen = torch.ones(1, 1, dtype=dense.slope.dtype)
        return search.found(dense)
    until, best = time.process_time() + seconds, _nothing(dense)
    for favour in itertools.cycle(FAVOURS):
        if time.process_time() > until or (len(best.agree) == n and bool(best.agree.all())):
            return best
        if search.draw(favour) and len(search.chosen) == n:
            found = search.found(dense)
            if int(found.agree.sum()) >= int(best.agree.sum()):
                best = found
    raise AssertionError("the cycle has no end")
