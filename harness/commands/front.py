"""`harness COMMAND ...` does something with stored runs; `harness SETTING=VALUE ...` makes them.

A command's module is imported when it is asked for: `--help` needs neither torch nor pandas.
"""

import importlib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from harness.command import USER_ERROR, complain
from harness.errors import nearest


@dataclass(frozen=True)
class Command:
    """The module whose `main(arguments)` it is, and what it does in a few words."""

    module: str
    summary: str


COMMANDS = {
    "query": Command("harness.query", "ask the store"),
    "plot": Command("harness.plot", "draw from the store"),
    "verify": Command("harness.verify", "carry stored runs out again, and compare"),
    "rescore": Command("harness.rescore", "fill in scores that runs lack"),
    "migrate": Command("harness.migrate", "give an older store the ids of today"),
    "publish": Command("harness.publish", "copy a rendered table to experiments/results"),
    "data": Command("harness.data", "download a data set"),
    "report": Command("harness.report.__main__", "build the site of all results"),
    "bench": Command("harness.bench.__main__", "measure the engine"),
    "accuracy": Command("harness.accuracy.__main__", "how well networks learn in federated rounds"),
    "sync": Command("harness.dashboards.sync", "send finished offline runs to W&B"),
    "workspace": Command("harness.dashboards.workspace", "lay the runs out in W&B"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `harness` and of `python -m harness`; exits with the command's status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    word = given[0] if given else ""
    if word in COMMANDS:
        sys.exit(importlib.import_module(COMMANDS[word].module).main(given[1:]))
    if re.fullmatch(r"[a-z]\w*", word):
        sys.exit(complain(f"{word}: there is no such command{nearest(word, COMMANDS)}", USER_ERROR))
    from harness import cli

    cli.main()
