"""Keys and passwords in the environment: no record, log or message may hold one."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from harness.base.errors import UserError

NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
SHORTEST = 8
"""Letters: a shorter value would be found in texts that have nothing to do with it."""


def secrets() -> dict[str, str]:
    """The values of environment variables that sound like secrets, by name."""
    return {
        name: value for name, value in os.environ.items() if NAMES.search(name) and len(value) >= SHORTEST
    }


def redact(text: str) -> str:
    """The text with the name of a secret in place of its value."""
    for name, value in secrets().items():
        text = text.replace(value, f"${name}")
    return text


def refuse(values: Mapping[str, Any]) -> None:
    """Raises UserError if a configuration holds a secret: it is written to records and sent to loggers."""
    known = secrets()
    for path, text in _texts(values, ""):
        for name, value in known.items():
            if value in text:
                raise UserError(f"{path} holds the value of ${name}: records and logs would show it")


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    pairs = (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, item in pairs:
        yield from _texts(item, f"{path}.{key}" if path else str(key))
