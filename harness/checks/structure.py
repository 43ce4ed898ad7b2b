"""What a malicious server plants in a model, seen before anything is trained: for the client's own sake."""

from collections.abc import Mapping

from torch import Tensor, nn

FEWEST = 8
"""Rows of a layer, and entries of a row, below which nothing is said of it."""
PARALLEL = 0.9999
"""Cosine from which two rows measure the same."""
LOOKED_AT = 512
"""Rows of a layer that are laid beside each other, at most."""


def rows_of(params: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The first rows [outputs, inputs] of the weights of layers in float64, where there are enough of both."""
    found = {name: value.flatten(1) for name, value in params.items() if value.ndim >= 2}
    return {name: rows[:LOOKED_AT].double() for name, rows in found.items() if min(rows.shape) >= FEWEST}


def parallel_rows(params: Mapping[str, Tensor]) -> float | None:
    """The largest share of a layer's rows that measure the same as another, as an imprint block's do (Fowl 2022)."""
    shares = []
    for rows in rows_of(params).values():
        some = rows[rows.norm(dim=1) > 0]
        if len(some) < FEWEST:
            continue
        unit = some / some.norm(dim=1, keepdim=True)
        likeness = (unit @ unit.T).abs().fill_diagonal_(0)
        shares.append(float((likeness.amax(1) > PARALLEL).double().mean()))
    return max(shares, default=None)


def half_negated_rows(params: Mapping[str, Tensor]) -> float | None:
    """The largest share of a layer's rows whose positive half is the negative one times a factor: trap weights
    (Boenisch et al. 2023)."""
    shares = [sum(map(_half_negated, rows)) / len(rows) for rows in rows_of(params).values()]
    return max(shares, default=None)


def _half_negated(row: Tensor) -> bool:
    positive, negative = row[row > 0], -row[row < 0]
    if len(positive) != len(negative) or len(positive) < FEWEST // 2:
        return False
    positive, negative = positive.sort().values, negative.sort().values
    factor = (positive @ negative) / negative.square().sum()
    return bool((positive - factor * negative).norm() < 1e-4 * positive.norm())


def loud_bias(weight: Tensor | None, bias: Tensor | None) -> float | None:
    """The largest bias of a head's rows whose weights are all zero, as class fishing has them (Wen et al. 2022)."""
    if weight is None or bias is None:
        return None
    silent = ~(weight.flatten(1) != 0).any(1)
    return float(bias[silent].abs().max()) if bool(silent.any()) else 0.0


def first_linear(model: nn.Module) -> float | None:
    """The root mean square of the first linear layer's weight times the root of its inputs; None where it is zero."""
    layer = next((each for each in model.modules() if isinstance(each, nn.Linear)), None)
    if layer is None or not bool(layer.weight.any()):
        return None
    return float(layer.weight.detach().double().square().sum(1).mean().sqrt())
