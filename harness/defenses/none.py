"""No defence."""

from harness.core import Defense, component


@component
class NoDefense(Defense):
    """The client sends its update as it is."""
