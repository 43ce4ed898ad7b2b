"""Pictures of runs that were published without any, cut out of the galleries that were published with them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from harness.base.memory import remembered
from harness.cells.handed import results
from harness.plots import pictures
from harness.store.published import holdings
from harness.tables.measurement import Outcome

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels."""


@dataclass(frozen=True)
class Cutting:
    """What lies where in a gallery: the pictures of some runs, and the originals."""

    runs: tuple[str, ...]
    originals: Box
    found: Box


def box(corner: tuple[int, int], picture: Image.Image, below: int = 0) -> Box:
    """Where a picture lies, by its corner in a grid that is framed, `below` so many pixels."""
    left, top = corner[0] + pictures.MARGIN, corner[1] + pictures.MARGIN + below
    return left, top, left + picture.width, top + picture.height


def told(places: Sequence[Cutting]) -> str:
    """What a gallery says of itself."""
    return json.dumps([[place.runs, place.originals, place.found] for place in places])


class Cuttings:
    """The galleries that were published where the runs of a table look for published ones."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self.root = results(each.experiment for each in outcomes if each.experiment)

    def __call__(self, runs: Sequence[str]) -> tuple[Image.Image, Image.Image] | None:
        """The originals and what an attack made of them, as they were published; None where they were not."""
        for archive in {path for run in runs if (path := _holdings(self.root).get(run))}:
            gallery, places = _gallery(archive.parent / "gallery.png")
            for place in places:
                if place.runs == tuple(runs):
                    return gallery.crop(place.originals), gallery.crop(place.found)
        return None


_holdings = remembered(holdings)


@remembered
def _gallery(path: Path) -> tuple[Image.Image, tuple[Cutting, ...]]:
    """A gallery and what it says of itself: nothing where it is older than that it does, or not there."""
    if not path.is_file():
        return pictures.blank(1, 1), ()
    with Image.open(path) as opened:
        said: Any = json.loads(pictures.says(opened) or "[]")
        places = tuple(Cutting(tuple(runs), tuple(theirs), tuple(found)) for runs, theirs, found in said)
        return opened.convert("RGB"), places
