"""How long work takes, in words, and how long the rest of it will."""

LEAST = 0.01
"""Of the work: before so much is done, most of the time went into beginning, and says nothing of the rest."""


def left(spent: float, gone: float, total: float) -> float | None:
    """Seconds until all of `total` is done, of which `gone` took `spent`; None before one can say."""
    return spent * (total - gone) / gone if gone > 0 and gone >= LEAST * total else None


def clock(seconds: float) -> str:
    """A time as people read it: 42 s, 3:05 min, 2:10 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d} h"
