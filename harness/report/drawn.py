"""What the site before has drawn of runs: it is taken over where nothing of a run has changed since."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter

from harness.base.files import write_atomically, writing
from harness.identity.digests import code, combined
from harness.report.results import MARK
from harness.report.runs import Place
from harness.store.integrity import IMAGES, RESULT, ROWS, TRACES

SHOWN = (RESULT, ROWS, IMAGES, TRACES)
"""Files of a run that its page shows something of."""
PARTS = (".js", ".png")
"""Files of a run's page."""
_STAMPS = TypeAdapter(dict[str, str])


class Drawn:
    """The runs of a site that is being built, beside those of the one in whose place it will be."""

    def __init__(self, before: Path, to: Path) -> None:
        self._before, self._to = before, to
        self._known = _read(before / MARK)
        self._stamps: dict[str, str] = {}

    def take(self, directory: Path, places: Sequence[Place]) -> bool:
        """Take over what was drawn of a run; False where it is to be drawn now, or has changed."""
        name = directory.name
        self._stamps[name] = _stamp(directory, places)
        if self._known.get(name) != self._stamps[name]:
            return False
        pairs = [
            (root / "runs" / name).with_suffix(part) for part in PARTS for root in (self._before, self._to)
        ]
        if not all(path.is_file() for path in pairs[::2]):
            return False
        with writing(self._to):
            for old, new in zip(pairs[::2], pairs[1::2], strict=True):
                _link(old, new)
        return True

    def leave(self, name: str) -> None:
        """Forget a run that can't be drawn."""
        self._stamps.pop(name, None)

    def keep(self) -> None:
        """Write down what has been drawn, for the next site."""
        write_atomically(self._to / MARK, _STAMPS.dump_json(self._stamps))


def _read(mark: Path) -> dict[str, str]:
    """Empty where nothing is known: then all is drawn."""
    try:
        return _STAMPS.validate_json(mark.read_bytes())
    except (OSError, ValueError):
        return {}


def _stamp(directory: Path, places: Sequence[Place]) -> str:
    """What stays while a run's files, the cells that stand on it and the code that draws do."""
    return combined([code(Place), *places, *(_seen(directory / name) for name in SHOWN)])


def _seen(path: Path) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_size, found.st_mtime_ns, found.st_ino


def _link(old: Path, new: Path) -> None:
    try:
        os.link(old, new)
    except OSError:  # a file system without hard links
        shutil.copyfile(old, new)
