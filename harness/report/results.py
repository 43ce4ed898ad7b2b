"""What lies below a directory of results: tables with their numbers, figures, texts."""

import csv
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from harness.core import UserError
from harness.tables.document import Document, load

Origin = Literal["made here", "published"]
FOLDERS: dict[Origin, str] = {"made here": "here", "published": "published"}
"""Where in the site the pages of results are."""
MARK = ".harness-report"
"""The file by which a site is known: it is no result, and may be replaced."""
OWN = ("cells.csv", "gallery.png", "table.md")
"""Files that a page shows in its own way."""

Key = tuple[str, str, str]
"""Row, column, metric."""


@dataclass(frozen=True)
class Numbers:
    """A line of cells.csv; None where there is no number."""

    n: int
    mean: float | None
    std: float | None
    low: float | None
    high: float | None
    published: float | None
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """A directory `<results>/<family>/<name>` of one rendered table, or of figures alone."""

    origin: Origin
    directory: Path
    document: Document | None = None
    numbers: dict[Key, Numbers] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def family(self) -> str:
        return self.directory.parent.name

    @property
    def name(self) -> str:
        return self.directory.name

    @property
    def title(self) -> str:
        return self.document.title if self.document else self.family

    @property
    def folder(self) -> str:
        """Its place in the site."""
        return f"{FOLDERS[self.origin]}/{self.family}/{self.name}"

    @property
    def address(self) -> str:
        """The link to its page from the site's root."""
        return quote(f"{self.folder}/index.html")

    @cached_property
    def figures(self) -> tuple[Path, ...]:
        return tuple(sorted(p for p in self.directory.glob("*.png") if p.name not in OWN))

    @cached_property
    def tables(self) -> tuple[Path, ...]:
        """Numbers behind figures, and those that have none."""
        return tuple(sorted(p for p in self.directory.glob("*.csv") if p.name not in OWN))

    @cached_property
    def texts(self) -> tuple[Path, ...]:
        return tuple(sorted(p for p in self.directory.glob("*.md") if p.name not in OWN))

    @property
    def gallery(self) -> Path | None:
        path = self.directory / "gallery.png"
        return path if path.exists() else None

    @property
    def cells(self) -> list[dict[str, Any]]:
        """Row, column, seed, run, finished and overrides of every cell."""
        return list(self.provenance.get("cells", ()))


def find(root: Path, origin: Origin) -> list[Result]:
    """Every result below a directory, sorted; none when there is no such directory."""
    folders = sorted(path for path in root.glob("*/*/") if not (path.parent / MARK).exists())
    return [_read(folder, origin) for folder in folders if _holds_results(folder)]


def _holds_results(folder: Path) -> bool:
    return any(path.suffix in (".csv", ".png", ".md") for path in folder.iterdir())


def _read(folder: Path, origin: Origin) -> Result:
    document, provenance = folder / "document.json", folder / "provenance.json"
    try:
        return Result(
            origin,
            folder,
            load(document.read_text(encoding="utf-8")) if document.exists() else None,
            _numbers(folder / "cells.csv"),
            json.loads(provenance.read_text(encoding="utf-8")) if provenance.exists() else {},
        )
    except ValueError as error:  # of JSON, of pydantic and of numbers
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{folder} can't be read, make its table again: {reason}") from error


def _numbers(path: Path) -> dict[Key, Numbers]:
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {(line["row"], line["column"], line["metric"]): _line(line) for line in csv.DictReader(file)}


def _line(line: dict[str, str]) -> Numbers:
    names = ("mean", "std", "ci_low", "ci_high", "published")
    mean, std, low, high, published = (float(line[name]) if line[name] else None for name in names)
    return Numbers(int(line["n"]), mean, std, low, high, published, tuple(line["run_ids"].split()))
