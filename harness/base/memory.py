"""What is found on disk is looked at once a command, and again by what asks for a fresh look."""

from collections.abc import Callable
from functools import cache
from typing import ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")
_forgetting: list[Callable[[], None]] = []


def remembered(function: Callable[P, T]) -> Callable[P, T]:
    """As `functools.cache`, until `look_again`."""
    kept = cache(function)
    _forgetting.append(kept.cache_clear)
    return cast(Callable[P, T], kept)


def look_again() -> None:
    """Forget what was found: files may have changed since."""
    for forget in _forgetting:
        forget()
