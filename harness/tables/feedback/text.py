"""Numbers and tables as the Markdown of a report."""

from collections.abc import Iterator

from harness.statistics import Statistic


def table(rows: Iterator[list[str]]) -> str:
    """A Markdown table of a head and its lines."""
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


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
