"""SPEAR: the inputs of a ReLU layer from the gradient of a small batch, exactly, as far as its units tell."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.audit.dense import Dense
from harness.audit.sharpening import sharpened

TRIALS = 32
"""Descents that are tried at once."""
POWER, STEPS, SHRINK, KEPT = 0.2, 80, 0.9, 0.8
"""Of the values whose sum a descent lowers; its steps; how fast it takes small values for zeros; and of how many units,
drawn anew for each."""
FEWEST = 0.04
"""Of the units, beyond the inputs' number, the least that an input leaves off."""
TRIED = 256
"""Quotients of two directions that are looked at."""
DRAWN, FEW = 1024, 6
"""Subsets of units that are drawn at once as the paper does, where there are no more than so many inputs: that all of a
subset are off for one input is half as likely or less with each further input."""
LOOSE, STRICT = 40.0, 6.0
"""Deviations of noise up to which a value may be zero: at first sight, and when it is known well."""
APART = 0.005
"""How far a direction must be from the span of those chosen to be another."""
ROUNDING = 1e-7
"""Of a layer's values together: so near to zero, single precision may switch a unit on or off."""


@dataclass(frozen=True, eq=False)
class Found:
    """Inputs [k, inputs], the gradient [k, units] of their units, and which of them [k] agree with it: they switch on
    the units that have one. Where all agree they are right; a few alone may still hold a little of another. `doubt`
    [k] is the deviation of an input's entries, and a gradient up to the `threshold` [k] is none."""

    inputs: Tensor
    slopes: Tensor
    agree: Tensor
    doubt: Tensor
    threshold: Tensor


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

    def advance(self) -> bool:
        """Look for further directions once. Returns whether others are chosen now."""
        before = self.chosen
        candidates = torch.cat([self._sparse(), self._drawn()])
        candidates = candidates[self._zero(candidates, LOOSE).sum(1) >= self.enough]
        self._choose(self._apart(torch.cat([before, candidates]), LOOSE))
        if changed := self.chosen.shape != before.shape or not torch.equal(self.chosen, before):
            places = range(len(self.chosen))
            taken_apart = [*map(self._unmixed, places), *map(self._within, self.chosen)]
            self._choose(torch.cat([self.chosen, *taken_apart]))
        return changed

    def _sparse(self) -> Tensor:
        """[TRIALS, n]: directions outside the span of those chosen, but for the last where all places are taken,
        with as few values that are not zero as descent finds from random starts.

        Minimises the sum over units of |value|^POWER by reweighted least squares (Daubechies et al. 2010), the
        value being that of the unit's row at length 1, along r q = 1 for a random r outside that span.
        """
        known = self.chosen[: self.n - 1] * self.scale
        outside = torch.linalg.qr(known.T, mode="complete").Q[:, len(known) :]
        r = torch.randn(TRIALS, outside.shape[1], generator=self.rng, dtype=outside.dtype) @ outside.T
        rows = self.white[self.alive]
        rows = rows / rows.norm(dim=1, keepdim=True)
        kept = torch.rand(TRIALS, len(rows), generator=self.rng) < KEPT
        q = r / r.square().sum(1, keepdim=True)
        for step in range(STEPS):
            values = q @ rows.T
            least = (values.abs().mean(1, keepdim=True) * SHRINK**step).clamp_min(1e-10)
            weights = kept * (values.square() + least.square()) ** (POWER / 2 - 1)
            system = torch.einsum("un,tu,um->tnm", rows, weights, rows)
            q = torch.linalg.solve_ex(system, r[:, :, None]).result.squeeze(2)
            q = q / (q * r).sum(1, keepdim=True)
        q = q[torch.isfinite(q).all(1)]
        found: Tensor = q / q.norm(dim=1, keepdim=True) / self.scale
        return found

    def _drawn(self) -> Tensor:
        """[DRAWN, n]: directions that vanish at n - 1 units each, drawn at random (the paper's algorithm 1)."""
        if self.n > FEW:
            return self.chosen[:0]
        order = torch.rand(DRAWN, len(self.alive), generator=self.rng).argsort(1)
        rows = self.left[self.alive[order[:, : self.n - 1]]]
        found: Tensor = torch.linalg.svd(rows, full_matrices=True).Vh[:, -1]
        return found

    def _choose(self, candidates: Tensor) -> None:
        refined = [found for each in candidates if (found := self._refined(each)) is not None]
        if refined:
            self.chosen = self._apart(torch.stack(refined), STRICT)

    def _unmixed(self, place: int) -> Tensor:
        """[k, n]: the chosen direction at a place less as much of each other one as gives it the most zeros.

        A mixture of two inputs has the zeros that both have; at the other zeros of the one, the quotient of the two
        directions is the same. Where either is silent the quotient is nothing but noise.
        """
        own, found = self.chosen[place], []
        values, told = self.chosen @ self.left[self.alive].T, ~self._zero(self.chosen, STRICT)
        for other in (k for k in range(len(self.chosen)) if k != place):
            shares = -values[place] / values[other]
            some = (told[place] & told[other]).nonzero().flatten()
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

    def completed(self, dense: Dense) -> Iterator[Tensor]:
        """[n, n], where one direction at most is missing: those chosen and what completes them, then with each in turn
        replaced.

        An input follows from the other directions alone, and from no more than their span. So where one of all is
        missing, or is a mixture, its input is right, and says itself which units it leaves off.
        """
        known = len(self.chosen)
        if known < self.n - 1:
            return
        axes = torch.linalg.qr((self.chosen * self.scale).T, mode="complete").Q[:, known:].T
        whole = torch.cat([self.chosen, axes / self.scale])
        for complete in [whole] if known == self.n else self._replaced(dense, whole, [known]):
            yield complete
            yield from self._replaced(dense, complete, range(self.n))

    def _replaced(self, dense: Dense, directions: Tensor, places: Iterable[int]) -> Iterator[Tensor]:
        """Directions [n, n] with one in a place's stead that vanishes where the place's input leaves units off."""
        off = ~_on(dense, self._solved(directions)[1], torch.zeros(()))[:, self.alive]
        for place in places:
            rows = self.left[self.alive[off[place]]]
            _, values, axes = torch.linalg.svd(rows, full_matrices=True)
            limit = STRICT * self.noise * len(rows) ** 0.5
            if len(rows) >= self.n - 1 and bool((values[self.n - 1 :] <= limit).all()):
                yield torch.cat([directions[:place], axes[-1:], directions[place + 1 :]])

    def _solved(self, directions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of directions [n, n]: their inverse, the inputs, and what each input's gradient is multiplied by."""
        # of singular directions come inputs that agree with nothing, and no error
        solved = torch.linalg.inv_ex(directions.T).inverse
        size = solved @ self.right[:, -1]
        return solved, solved @ self.right[:, :-1] / size[:, None], size

    def found(self, dense: Dense, directions: Tensor) -> Found:
        """The inputs of directions [n, n], each held to the units that it would switch on."""
        solved, inputs, size = self._solved(directions)
        slopes = (self.left @ directions.T).T * size[:, None]
        doubt = self.noise * (solved / self.scale).norm(dim=1) / size.abs()
        threshold = STRICT * self.noise * directions.norm(dim=1) * size.abs()
        return _held(dense, self.n, inputs, slopes, doubt, threshold)


def _sharpened(dense: Dense, found: Found) -> Found:
    """As sharp as the rounding allows, and held to their units again; as found where the rounding is not known."""
    if dense.roundings is None:
        return found
    on = _on(dense, found.inputs, -_margin(dense, found.inputs, found.doubt))
    free = torch.where(found.agree[:, None], on, True)
    return _held(dense, len(on), *sharpened(dense, found.inputs, free), found.doubt, found.threshold)


def _margin(dense: Dense, inputs: Tensor, doubt: Tensor) -> Tensor:
    """[k, units]: how far from zero a unit is not told to be on or off, where inputs are doubtful by so much [k]."""
    values = inputs @ dense.weight.T + dense.bias
    noise = STRICT * doubt[:, None] * dense.weight.norm(dim=1)
    margin: Tensor = noise + ROUNDING * values.norm(dim=1, keepdim=True)
    return margin


def _on(dense: Dense, inputs: Tensor, margin: Tensor) -> Tensor:
    on: Tensor = inputs @ dense.weight.T + dense.bias > margin
    return on


def _held(dense: Dense, n: int, inputs: Tensor, slopes: Tensor, doubt: Tensor, threshold: Tensor) -> Found:
    """Inputs held to the units that they would switch on, whose slopes are beyond a threshold [k] of noise.

    An error within the noise is none; nor is a unit too near to zero to tell.
    """
    quiet, margin = slopes.abs() <= threshold[:, None], _margin(dense, inputs, doubt)
    on, off = _on(dense, inputs, margin), ~_on(dense, inputs, -margin)
    typical = slopes.abs().sum(1) / (~quiet).sum(1).clamp_min(1)
    expected = 1 + 4 * on.sum(1) * threshold / typical
    agree = ((off & ~quiet).sum(1) == 0) & ((on & quiet).sum(1) <= expected)
    enough = (off.sum(1) >= n) & ((on & ~quiet).sum(1) >= n)
    return Found(inputs, slopes, agree & enough & torch.isfinite(inputs).all(1), doubt, threshold)


def _nothing(dense: Dense) -> Found:
    nothing = dense.bias[:0]
    return Found(dense.slope[:0], dense.slope.T[:0], nothing.bool(), nothing, nothing)


def spear(dense: Dense, n: int, seconds: float, rng: torch.Generator) -> Found:
    """Dimitrov et al. 2024 (SPEAR), for n distinct inputs, with the bias's gradient as a column of ones, thresholds
    from the known noise, and mixtures taken apart. Sparse directions are found by descent from random starts, where the
    paper's algorithm 1 draws subsets of units, whose number doubles with each input.

    The layer's units must be followed by ReLU. Searches until all agree or the seconds are over.
    """
    search = _Search(dense, n, rng)
    if n == 1:
        return _sharpened(dense, search.found(dense, torch.ones(1, 1, dtype=dense.slope.dtype)))
    until, best = time.process_time() + seconds, _nothing(dense)
    while time.process_time() < until and _agreeing(best) < n:
        if search.advance():
            tried = (search.found(dense, directions) for directions in search.completed(dense))
            best = max([*tried, best], key=_agreeing)
    return max(_sharpened(dense, best), best, key=_agreeing) if len(best.agree) else best


def _agreeing(found: Found) -> int:
    return int(found.agree.sum())
