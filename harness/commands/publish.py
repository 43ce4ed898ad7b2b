"""Copy a rendered table, and its runs without pictures, to experiments/results: `make publish TABLE=table3`."""

import argparse
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from harness.base.command import answered, expanded
from harness.base.errors import UserError, nearest, note
from harness.base.files import to_json, to_json_lines, write_atomically
from harness.base.schema import EXPERIMENTS
from harness.plots.pictures import saying, says
from harness.store.integrity import RESULT
from harness.store.published import ARCHIVE, light, pack, unpack

COPIED = (".csv", ".md")
COLOURS = (256, 64, 32)
"""Of published pictures: a third of the bytes, and less where a table has many. Their numbers are in the store."""
WEIGHT = 500_000
"""Bytes that the pictures of a table may have together before fewer colours are taken."""
PROVENANCE = "provenance.json"
_PATH = re.compile(r"(?:(?<=^)|(?<=[=\s'\"\[(,:]))(?:~|[A-Za-z]:)?[/\\](?![/\\])[^\s'\"\]),]+")
"""An absolute path at the start of a text, or after a sign that can stand before one."""


def publish(
    table: str,
    results: Path,
    to: Path,
    dataset: str | None = None,
    scale: str | None = None,
    runs: Path = Path("runs"),
) -> list[Path]:
    """Copy `<results>/<table>/<dataset>-<scale>/` to the same place below `to`, for each dataset and scale.

    The runs behind it are packed beside it, without pictures. Raises UserError when there is no such table.
    """
    found = sorted((results / table).glob(f"{dataset or '*'}-{scale or '*'}/{PROVENANCE}"))
    if not found:
        raise UserError(f"there is no rendered {table} in {results / table}{_remedy(table)}")
    targets = [_copy(path.parent, to / table / path.parent.name) for path in found]
    for target in targets:
        hand_on(target, runs)
    return targets


def _remedy(name: str) -> str:
    """The command that makes a table or a sweep; where there is no such, the nearest."""
    kinds = {path.stem: kind for kind in ("sweep", "table") for path in (EXPERIMENTS / kind).glob("*.yaml")}
    if name in kinds:
        return f": say python -m harness {kinds[name]}={name} first"
    return nearest(name, kinds)


def hand_on(target: Path, runs: Path) -> None:
    """Pack the runs behind a published table, from the store or as they were packed before; say how many are lost."""
    provenance = json.loads((target / PROVENANCE).read_text(encoding="utf-8"))
    wanted = {cell["run"] for cell in provenance.get("cells", ()) if cell.get("finished")}
    before = unpack(target / ARCHIVE, wanted) if (target / ARCHIVE).exists() else {}
    stored = {name for name in wanted if (runs / name / RESULT).exists()}
    found = before | {name: light(runs / name, without_paths) for name in stored}
    if found:
        pack(found, target / ARCHIVE)
    if missing := len(wanted) - len(found):
        note(f"{target}: {missing} of {len(wanted)} runs are not in {runs}, and are not handed on")


def _copy(source: Path, target: Path) -> Path:
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        if path.suffix in COPIED and not path.name.startswith("."):
            write_atomically(target / path.name, path.read_bytes())
    for name, picture in _pictures(source).items():
        write_atomically(target / name, picture)
    for path in sorted(source.glob("*.json")):
        content: Any = without_paths(json.loads(path.read_text(encoding="utf-8")))
        text = to_json_lines(content) if path.name == PROVENANCE else to_json(content, indent=1) + "\n"
        write_atomically(target / path.name, text.encode())
    return target


def _pictures(source: Path) -> dict[str, bytes]:
    """A directory's pictures, in the most colours with which they are light enough together, or else the fewest."""
    pictures = {path.name: path.read_bytes() for path in sorted(source.glob("[!.]*.png"))}
    for colours in COLOURS:
        lighter = {name: compressed(picture, colours) for name, picture in pictures.items()}
        if sum(map(len, lighter.values())) <= WEIGHT:
            break
    return lighter


def compressed(picture: bytes, colours: int = COLOURS[0]) -> bytes:
    """The same PNG in so many colours, those nearest to its own; as it was, where that is no smaller."""
    opened = Image.open(io.BytesIO(picture))
    if opened.mode == "P" and opened.getcolors(colours):
        return picture
    buffer = io.BytesIO()
    fewer = opened.convert("RGB").quantize(colours, dither=Image.Dither.NONE)
    fewer.save(buffer, format="PNG", optimize=True, pnginfo=saying(says(opened)))
    return min(picture, buffer.getvalue(), key=len)


def without_paths(value: Any) -> Any:
    """The same data, with every absolute path in its texts replaced: it names a machine, not a result."""
    if isinstance(value, str):
        return _PATH.sub("PATH", value)
    if isinstance(value, dict):
        return {key: without_paths(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_paths(item) for item in value]
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit status 2 for a user error."""
    parser = argparse.ArgumentParser(prog="harness publish", description=(__doc__ or "").split(":")[0])
    parser.add_argument("table", help="its name, like table3")
    parser.add_argument("--dataset", help="default: every one that is rendered")
    parser.add_argument("--scale", help="default: every one that is rendered")
    parser.add_argument("--results", type=expanded, default=Path("results"))
    parser.add_argument("--runs", type=expanded, default=Path("runs"))
    parser.add_argument("--to", type=expanded, default=Path("experiments/results"))
    options = parser.parse_args(arguments)

    def command() -> None:
        for target in publish(
            options.table, options.results, options.to, options.dataset, options.scale, options.runs
        ):
            print(f"{target}/")

    return answered(command)
