"""Gradient-inversion attacks on federated learning: papers' tables, regenerated.

compose("attack=ig", "trials=2")    the experiment of a command line
execute(experiment)                 carry it out: rows, images, a picture
frame("runs")                       a line for each image of all runs
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.commands.notebook import execute as execute
    from harness.commands.notebook import frame as frame
    from harness.config.composition import compose as compose

    __version__: str

# Before MKL multiplies for the first time: let its products not depend on where in memory a matrix happens to lie.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

# Modules that have moved are still found by the names under which people start them.
__path__.append(os.path.join(os.path.dirname(__file__), "earlier"))

_PLACES = {
    "compose": "harness.config.composition",
    "execute": "harness.commands.notebook",
    "frame": "harness.commands.notebook",
}
"""What is imported when it is asked for, so that torch is not loaded before."""
__all__ = ["__version__", "compose", "execute", "frame"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("gradient-inversion-harness")
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'harness' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
