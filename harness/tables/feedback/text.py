"""Numbers as the Markdown of a report."""

from harness.statistics import Statistic


def mean(found: Statistic | None, sign: str = "") -> str:
    """A mean with its interval."""
    if found is None:
        return "-"
    interval = "" if found.low is None else f" ({found.low:{sign}.1f} to {found.high:{sign}.1f})"
    return f"{found.mean:{sign}.1f}{interval}"


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.1f} %"


def p(value: float) -> str:
    return f"{value:.1e}" if value < 1e-3 else f"{value:.3f}"
