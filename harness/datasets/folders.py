"""Class folders: which there are, the images in each, and what beside them is passed over."""

import os
from collections.abc import Iterator
from pathlib import Path

from harness.base.errors import note
from harness.core import UserError

IMAGES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""How the names of images end, in any case."""
BY_OTHERS = frozenset({"__MACOSX", "__pycache__", "@eaDir", "lost+found", "$RECYCLE.BIN"})
"""Folders that systems and archives leave behind, beside those whose name begins with a dot."""


def scan(folder: Path) -> dict[str, list[str]]:
    """The images below each class folder, classes and images sorted by name. Links to folders are followed.

    Raises UserError where there is no class folder, or an empty one.
    """
    entries = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    classes = [entry for entry in entries if not _hidden(entry.name)]
    if not classes:
        raise UserError(_without_classes(folder))
    found = {entry.name: _images(entry) for entry in classes}
    if empty := [entry for entry in classes if not found[entry.name]]:
        raise UserError(_empty(empty[0]))
    _say_what_is_passed_over(folder, [entry.name for entry in entries if _hidden(entry.name)])
    return found


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in BY_OTHERS


def _files(folder: Path) -> Iterator[str]:
    """Every file below a folder that is not hidden, nor in a hidden folder; sorted by folder, then by name."""
    walked = []
    for path, folders, files in os.walk(folder, followlinks=True):
        here = os.path.realpath(path)
        folders[:] = [each for each in folders if not _hidden(each) and not _holds(f"{path}/{each}", here)]
        walked.append((path, sorted(name for name in files if not _hidden(name))))
    for path, files in sorted(walked):
        yield from (os.path.join(path, name) for name in files)


def _holds(link: str, inner: str) -> bool:
    """Whether a link leads back to a folder that it is in."""
    return os.path.islink(link) and f"{inner}/".startswith(f"{os.path.realpath(link)}/")


def _images(folder: Path) -> list[str]:
    return [path for path in _files(folder) if path.lower().endswith(IMAGES)]


def _without_classes(folder: Path) -> str:
    loose = sum(entry.name.lower().endswith(IMAGES) for entry in folder.iterdir() if entry.is_file())
    if loose:
        return (
            f"{folder} holds {loose} images but no class folders: sort them into {folder}/CLASS/, one or more"
        )
    return f"{folder} has no class folders: the images are looked for as {folder}/CLASS/*.jpg (png, webp ...)"


def _empty(folder: Path) -> str:
    kinds = sorted({Path(path).suffix for path in _files(folder)} - {""})
    held = f" but files {', '.join(kinds[:3])}" if kinds else ""
    return f"the class folder {folder} is empty: no images{held}; remove it, or fill it ({', '.join(IMAGES[:3])} ...)"


def _say_what_is_passed_over(folder: Path, hidden: list[str]) -> None:
    loose = [
        entry.name for entry in folder.iterdir() if entry.name.lower().endswith(IMAGES) and entry.is_file()
    ]
    beside = [*hidden, *(name for name in loose if not _hidden(name))]
    if beside:
        more = f" and {len(beside) - 3} more" if len(beside) > 3 else ""
        note(
            f"{folder}: {', '.join(beside[:3])}{more} passed over, for classes are folders that are not hidden"
        )
