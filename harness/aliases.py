"""Where components are now that stored configurations name by an earlier path: the one place that knows."""

ALIASES: dict[str, str] = {}
"""From the path of a class as it was, oldest first, to the path that it has: a line for each that has moved."""


def current(path: str) -> str:
    """The path of a component today."""
    return ALIASES.get(path, path)


def original(path: str) -> str:
    """The path that a component had when it first moved; its own where it never did."""
    return next((old for old, new in ALIASES.items() if new == path), path)
