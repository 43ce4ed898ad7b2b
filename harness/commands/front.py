"""`harness COMMAND ...` does something with stored runs; `harness SETTING=VALUE ...` makes them.

A command's module is imported when it is asked for: `--help` needs neither torch nor pandas.
"""

import importlib
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from harness.base.command import USER_ERROR, complain
from harness.base.errors import nearest
from harness.base.schema import CONF, PLANS


@dataclass(frozen=True)
class Command:
    """The module whose `main(arguments)` it is, and what it does in a few words."""

    module: str
    summary: str


COMMANDS = {
    "list": Command("harness.commands.choices", "what can be chosen"),
    "new": Command("harness.commands.new", "begin a package of your own"),
    "query": Command("harness.commands.query", "ask the store"),
    "plot": Command("harness.commands.plot", "draw from the store"),
    "verify": Command("harness.commands.verify", "carry stored runs out again, and compare"),
    "rescore": Command("harness.commands.rescore", "fill in scores that runs lack"),
    "migrate": Command("harness.commands.migrate", "give an older store the ids of today"),
    "merge": Command("harness.commands.merge", "bring another store's runs into this one"),
    "publish": Command("harness.commands.publish", "copy a rendered table to experiments/results"),
    "data": Command("harness.commands.data", "download a data set"),
    "audit": Command("harness.commands.audit", "what leaks from your model and your update"),
    "report": Command("harness.report.__main__", "build the site of all results"),
    "bench": Command("harness.bench.__main__", "measure the engine"),
    "sync": Command("harness.commands.dashboards.sync", "send finished offline runs to W&B"),
    "workspace": Command("harness.commands.dashboards.workspace", "lay the runs out in W&B"),
}


GROUPS = (*sorted(each.name for each in CONF.iterdir() if each.is_dir() and each.name != "hydra"), *PLANS)
CHOICE = re.compile(rf"({'|'.join(GROUPS)})=\w+$")
"""A file of a group, as the command line chooses it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `harness` and of `python -m harness`; exits with the command's status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    word = given[0] if given else ""
    if word == "--version":
        print(f"harness {version('gradient-inversion-harness')}")
        sys.exit()
    if given in (["--help"], ["-h"]):
        from harness.commands.choices import help_page

        sys.exit(help_page())
    chosen = [each for each in given if CHOICE.match(each)]
    if chosen and {"--help", "-h"} & {*given} and len(given) == len(chosen) + 1:
        from harness.commands.choices import explain

        sys.exit(explain(chosen))
    if word in COMMANDS:
        sys.exit(importlib.import_module(COMMANDS[word].module).main(given[1:]))
    if re.fullmatch(r"[a-z]\w*", word):
        sys.exit(complain(f"{word}: there is no such command{nearest(word, COMMANDS)}", USER_ERROR))
    if {"-sc", "--shell-completion"} & {*given}:
        complete()
    from harness.commands import main as cli

    cli.main()


def complete() -> None:
    """Add to what Hydra completes, which is settings alone: the commands, and `harness` where it would say `python`."""
    sys.argv[0] = "harness"
    _, _, word = os.environ.get("COMP_LINE", "").partition(" ")
    if word.isalpha():
        print("\n".join(name for name in COMMANDS if name.startswith(word)))
