"""Numbers as the Markdown of a report."""

from harness.base.statistics import Statistic


def mean(found: Statistic | None, sign: str = "") -> str:
    """A mean with its interval; where there is none, with what the blocks say of themselves."""
    return "-" if found is None else f"{found.mean:{sign}.1f}{_spread(found, sign, 1)}"


def points(found: Statistic | None, sign: str = "+") -> str:
    """A rate, or a difference of rates, in per cent."""
    return "-" if found is None else f"{100 * found.mean:{sign}.1f} %{_spread(found, sign, 100)}"


def _spread(found: Statistic, sign: str, scale: float) -> str:
    if found.low is not None and found.high is not None:
        return f" ({scale * found.low:{sign}.1f} to {scale * found.high:{sign}.1f})"
    several = ", ".join(f"{scale * value:{sign}.1f}" for value in found.values)
    return f" (blocks: {several})" if len(found.values) > 1 else ""


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.1f} %"
