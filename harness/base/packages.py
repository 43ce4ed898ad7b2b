"""The packages whose components a configuration may name, and the configurations that they bring. Light, as schema."""

import importlib.util
import os
from functools import cache
from importlib import metadata
from pathlib import Path

PLUGINS = "HARNESS_PLUGINS"
"""The variable that declares packages whose components may be named, beside those of the harness."""
ENTRY_POINTS = "harness.plugins"
"""The group of entry points by which an installed package declares itself."""
FOLDERS = ("conf", "experiments")
"""What a package may bring with it, in the shape of the harness's own."""


def packages() -> tuple[str, ...]:
    """The harness, the packages that $HARNESS_PLUGINS lists, and those that declare themselves by an entry point."""
    return ("harness", *declared())


def declared() -> tuple[str, ...]:
    """The packages of others: those that $HARNESS_PLUGINS lists, and those that declare themselves by an entry point;
    `package:name` is its package."""
    listed = os.environ.get(PLUGINS, "").replace(",", " ").split()
    return tuple(dict.fromkeys(name.partition(":")[0] for name in (*listed, *_installed())))


def configurations() -> list[Path]:
    """The folders conf/ and experiments/ that the packages of others bring with them."""
    found = []
    for package in declared():
        try:
            spec = importlib.util.find_spec(package)
        except (ImportError, ValueError):  # whoever names a component of it is told so
            continue
        places = (spec and spec.submodule_search_locations) or ()
        found += [folder for place in places for name in FOLDERS if (folder := Path(place) / name).is_dir()]
    return found


@cache
def _installed() -> tuple[str, ...]:
    return tuple(entry.value for entry in metadata.entry_points(group=ENTRY_POINTS))
