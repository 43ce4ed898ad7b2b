"""Settings of files that a sweep's points or a table's cells choose, which are theirs alone to set."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from harness.base.growth import check_growth
from harness.base.internals import command_line
from harness.base.packages import configurations
from harness.base.schema import EXPERIMENTS
from harness.commands.choices import files

SINGLE = re.compile(r"[\w.+-]+|\[[^\[\]()]*\]")
"""A value that is none of several: a word, a number or a list."""
CHOICE = re.compile(r"([\w/]+)(?:@([\w.]+))?=[\w,()]+")
"""What chooses files of a group, and where in the configuration they go."""
SETTINGS = ("base", "rows", "columns", "additions", "scales", "datasets")
"""The keys of a plan below which overrides stand."""


def spread_axes() -> None:
    """Hand a single value of what differs from cell to cell to the cells alone: `fl.local_epochs=2` as
    `fl.local_epochs=choice(2)`.

    Hydra would set it before the cells have chosen the files that have such a setting: an axis of a sweep, a setting of
    what a sweep or a table chooses (`model.width=8` beside `table=table3`), or of what the command line names several
    of (`attack.weight=2` beside `attack=mine,ig`).
    """
    given, _ = command_line()[0].parse_known_args()
    plans = [found for each in given.overrides if (found := _plan(each, given.config_dir))]
    axes = {axis for plan in plans for axis in _axes(plan)}
    groups = {axis for axis in axes if "." not in axis} | set(filter(None, map(_swept, given.overrides)))
    if not given.cfg:  # which shows the command line's own choices, and none of a plan's
        groups |= {group for plan in plans for group in _chosen(plan)}
    for place, argument in enumerate(sys.argv):
        key, _, value = argument.partition("=")
        chosen = any(key.startswith(f"{group}.") for group in groups)
        if ((key in axes and "." in key) or chosen) and SINGLE.fullmatch(value):
            sys.argv[place] = f"{key}=choice({value})"


def _swept(override: str) -> str:
    """Where in the configuration the files are that an override names several of; empty where it names none."""
    key, _, value = override.partition("=")
    several = "," in value or value.startswith(("choice(", "glob("))
    return (key.partition("@")[2] or key) if several and files(key.partition("@")[0]) else ""


def _plan(override: str, own: str | None) -> dict[str, Any]:
    """What the file of a sweep or table says; nothing where there is none, which Hydra says better."""
    kind, _, name = override.partition("=")
    folders = [*([Path(own)] if own else []), EXPERIMENTS, *configurations()]
    files = [path for folder in folders if (path := folder / kind / f"{name}.yaml").is_file()]
    if kind not in ("sweep", "table") or not files:
        return {}
    check_growth(files[0])
    return _inside(
        _inside(OmegaConf.to_container(OmegaConf.load(files[0]), resolve=False), "hydra"), "sweeper"
    )


def _axes(plan: dict[str, Any]) -> set[str]:
    """The axes of a sweep, at every scale."""
    nodes = [plan, *_inside(plan, "scales").values()]
    variants = plan.get("variants")
    grids = [*(_inside(node, "grid") for node in nodes), *(variants if isinstance(variants, list) else [])]
    return {str(axis) for grid in grids if isinstance(grid, dict) for axis in grid}


def _chosen(plan: dict[str, Any]) -> set[str]:
    """Where in the configuration the files are that a plan chooses itself; not the data set, nor the scale."""
    found = (CHOICE.fullmatch(text) for key in SETTINGS for text in _texts(plan.get(key)))
    groups = {each.group(1, 2) for each in found if each}
    return {place or group for group, place in groups if files(group)} - {"dataset", "scale"}


def _texts(node: object) -> Iterator[str]:
    """Every text in the lists of a plan."""
    if isinstance(node, dict):
        for each in node.values():
            yield from _texts(each)
    elif isinstance(node, list):
        yield from (each for each in node if isinstance(each, str))


def _inside(node: object, key: str) -> dict[str, Any]:
    """What a mapping holds under a key, if that is a mapping too; what else it is, the plan's own check says."""
    found = node.get(key) if isinstance(node, dict) else None
    return found if isinstance(found, dict) else {}
