"""Several loggers in one word, `logger=[wandb,csv]`, as settings for Hydra. Light: it comes before `--help`."""

import re
from collections.abc import Iterable

SEVERAL = re.compile(r"logger=(\[\s*\w+(?:\s*,\s*\w+)*\s*\]|\w+(?:\s*,\s*\w+)+)")


def spelt_out(arguments: Iterable[str]) -> list[str]:
    """A list of loggers as the logger `several` that holds them; of a multirun's values too: the same run under two
    loggers is one run, that both log. What else there is stays as it is."""
    found: list[str] = []
    for argument in arguments:
        several = SEVERAL.fullmatch(argument)
        names = re.findall(r"\w+", several[1]) if several else []
        one = "several" if len(names) > 1 else "".join(names)
        found += [f"logger={one}"] if names else [argument]
        found += [f"+logger@logger.loggers.{name}={name}" for name in dict.fromkeys(names) if len(names) > 1]
    return found
