"""L-BFGS for many problems at once, on the trajectory of torch.optim.LBFGS without a line search."""

import torch
from torch import Tensor

from harness.attacks.solvers.batches import times, together
from harness.attacks.solvers.optimizer import Optimizer, State, rows
from harness.attacks.solvers.variables import Layout
from harness.base.numbers import Count, NonNegative, Positive, Steps
from harness.core import component

MIN_CURVATURE = 1e-10
"""A pair is kept when y.s exceeds this, as in torch."""
ALIGNMENT = 16
"""Vectors are padded with zeros to a multiple of this, so that every row of the history is aligned alike."""


@component
class LBFGS(Optimizer):
    """Liu and Nocedal 1989, with the defaults of DLG's and iDLG's `torch.optim.LBFGS(lr=1)`.

    torch's `step()` makes up to `max_iter` moves and the next one goes on from the same memory, so that 300 steps
    are one trajectory of at most 300 x 20 moves. What ends a `step()` early does one of two things:

    - a gradient below `tolerance_grad`, or a directional derivative above -`tolerance_change`, recurs in every later
      `step()`: the run is frozen, and the slot is done;
    - a move or a change of the loss below `tolerance_change` only forfeits the rest of that `step()`'s moves: the
      budget is charged for them, and the run goes on. (torch would also evaluate the same point once more.)

    So a slot's last point is the one that `steps / max_iter` of the authors' steps return.
    """

    lr: Positive = 1.0
    max_iter: Steps = 20
    history: Count = 100
    tolerance_grad: NonNegative = 1e-7
    tolerance_change: NonNegative = 1e-9

    def start(self, slots: int, layout: Layout, device: torch.device, dtype: torch.dtype) -> "LBFGSState":
        return LBFGSState(self, slots, layout.size, device, dtype)


class LBFGSState(State):
    """Pairs (s, y) in a ring and their Gram matrices, per slot.

    With R = triu(S'Y) in the order of time, the two loops of the recursion are one product with R's inverse and one
    with its transpose (Byrd, Nocedal and Schnabel 1994, theorem 2.2), so that the history is read twice. The inverse
    is kept as it stands in the ring: a new pair adds a column, and the pair that it displaces drops a row and a
    column, which leaves the rest as it was. The products of the newest y with the history are differences of those
    of the last two gradients.
    """

    def __init__(self, rule: LBFGS, slots: int, size: int, device: torch.device, dtype: torch.dtype) -> None:
        self.rule, self.size = rule, size
        width = -(-size // ALIGNMENT) * ALIGNMENT
        zeros = torch.zeros((), dtype=dtype, device=device).new_zeros
        whole = torch.zeros((), dtype=torch.int64, device=device).new_zeros
        self.first_row = self._first_rows(slots, device)
        self.pairs = zeros(slots, 2, rule.history, width)
        """Moves s, then changes of the gradient y [S, 2, m, W]."""
        self.inverse = zeros(slots, rule.history, rule.history)
        """R^-1 [S, m, m]."""
        self.gram = zeros(slots, rule.history, rule.history)
        """Y'Y [S, m, m]."""
        self.curvature = zeros(slots, rule.history)
        """y.s of every pair, R's diagonal [S, m]."""
        self.scale = zeros(slots, 1)
        """The initial inverse Hessian is this times the identity [S, 1]."""
        self.kept = whole(slots, 1)
        """Pairs kept so far [S, 1]."""
        self.products = zeros(slots, 2 * rule.history)
        """Of the last gradient with every s and y [S, 2m]."""
        self.gradient, self.move, self.loss = zeros(slots, width), zeros(slots, width), zeros(slots, 1)
        self.steps, self.spent = whole(slots, 1), whole(slots, 1)
        self.done = torch.ones(slots, 1, dtype=torch.bool, device=device)

    def reset(self, slot: int, x0: Tensor, steps: int, rng: torch.Generator) -> Tensor:
        memory = (self.pairs, self.inverse, self.gram, self.curvature, self.products, self.kept)
        for state in (*memory, self.gradient, self.move, self.loss, self.spent, self.done):
            state[slot] = 0
        self.scale[slot] = 1
        self.steps[slot] = steps
        return x0

    def step(self, x: Tensor, grad: Tensor | None, loss: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        assert grad is not None
        gradient = torch.zeros_like(self.gradient)
        gradient[:, : self.size] = grad
        loss, active = loss[:, None], active[:, None]
        size = gradient.abs()
        spent = self._charged(loss)
        stop = (spent >= self.steps) | (size.amax(1, keepdim=True) <= self.rule.tolerance_grad)
        working = active & ~(self.done | stop)

        direction, products = self._direction(gradient, working & (spent > 0))
        shorter = size.sum(1, keepdim=True).reciprocal().clamp(max=1) * self.rule.lr
        move = torch.where(spent > 0, self.rule.lr, shorter) * direction
        flat = (gradient * direction).sum(1, keepdim=True) > -self.rule.tolerance_change
        moving = working & ~flat

        self.done = self.done | (active & (stop | flat))
        self.spent = torch.where(moving, spent + 1, self.spent)
        self.loss = torch.where(moving, loss, self.loss)
        self.products = torch.where(moving, products, self.products)
        self.gradient = torch.where(moving, gradient, self.gradient)
        self.move = torch.where(moving, move, self.move)
        return torch.where(moving, x + move[:, : self.size], x), (self.done & active)[:, 0]

    def resize(self, kept: list[int], slots: int) -> bool:
        for name, state in vars(self).items():
            if isinstance(state, Tensor):
                setattr(self, name, rows(state, kept, slots))
        self.first_row = self._first_rows(slots, self.pairs.device)
        return True

    def _first_rows(self, slots: int, device: torch.device) -> Tensor:
        """Where the s and the y of each slot begin among the rows of all pairs [S, 2]."""
        return torch.arange(2 * slots, device=device).view(slots, 2) * self.rule.history

    def _charged(self, loss: Tensor) -> Tensor:
        """What torch's budget stands at [S, 1]: a step() that ends early costs as much as a full one."""
        still = self.move.abs().amax(1, keepdim=True) <= self.rule.tolerance_change
        level = (loss - self.loss).abs() < self.rule.tolerance_change
        rest = -self.spent % self.rule.max_iter
        return torch.where(still | level, self.spent + rest, self.spent)

    def _direction(self, gradient: Tensor, moved: Tensor) -> tuple[Tensor, Tensor]:
        """Minus the inverse Hessian times the gradient [S, W], after taking in the last move where there was one.

        Also returns the products [S, 2m] of the gradient with the history.
        """
        y = gradient - self.gradient
        ys, yy = (y * self.move).sum(1, keepdim=True), (y * y).sum(1, keepdim=True)
        keep = moved & (ys > MIN_CURVATURE)
        place = self.kept % self.rule.history
        self._store(y, keep, place)
        pairs = self.pairs.flatten(1, 2)
        products = times(pairs, gradient)
        self._update(products - self.products, ys, yy, keep, place)

        s_gradient, y_gradient = products.chunk(2, 1)
        alpha = times(self.inverse, s_gradient)
        beta = self.scale * (y_gradient - times(self.gram, alpha)) - self.curvature * alpha
        weights = torch.cat([times(self.inverse.mT, beta), self.scale * alpha], 1)
        start = self.scale * gradient
        direction = together(_less, start[:, None], weights[:, None], pairs)[:, 0]
        return direction, products

    def _store(self, y: Tensor, keep: Tensor, place: Tensor) -> None:
        """Write the pair (last move, y) over the oldest one, where it is kept."""
        self.kept = self.kept + keep
        rows, where = self.pairs.flatten(0, 2), (self.first_row + place).flatten()
        old = rows.index_select(0, where).view(-1, 2, rows.shape[1])
        new = torch.where(keep[:, :, None], torch.stack([self.move, y], 1), old)
        rows.index_copy_(0, where, new.flatten(0, 1))

    def _update(self, with_y: Tensor, ys: Tensor, yy: Tensor, keep: Tensor, place: Tensor) -> None:
        """Bring the matrices up to date; with_y [S, 2m] are the products of the newest y with every s and y."""
        s_y, y_y = with_y.chunk(2, 1)
        column = (times(self.inverse, s_y) / -ys).scatter(1, place, 1 / ys)
        _put(self.inverse, 1, place, keep, torch.zeros_like(column))
        _put(self.inverse, 2, place, keep, column)
        products = y_y.scatter(1, place, yy)
        _put(self.gram, 1, place, keep, products)
        _put(self.gram, 2, place, keep, products)
        self.curvature = torch.where(keep, self.curvature.scatter(1, place, ys), self.curvature)
        self.scale = torch.where(keep, ys / yy, self.scale)


def _less(start: Tensor, weights: Tensor, pairs: Tensor) -> Tensor:
    return torch.baddbmm(start, weights, pairs, beta=-1)


def _put(matrix: Tensor, axis: int, place: Tensor, keep: Tensor, values: Tensor) -> None:
    """Overwrite one row (axis 1) or column (axis 2) of each matrix [S, m, m] in place, where `keep` [S, 1] says so."""
    new = values.unsqueeze(axis)
    index = place[:, :, None].expand_as(new)
    matrix.scatter_(axis, index, torch.where(keep[:, :, None], new, matrix.gather(axis, index)))
