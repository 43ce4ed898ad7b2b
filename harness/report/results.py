"""What lies below a directory of results: tables and sweeps with their numbers, figures, texts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from harness.base.rows import read_csv
from harness.core import UserError
from harness.tables.document import Document, load

Origin = Literal["made here", "published"]
FOLDERS: dict[Origin, str] = {"made here": "here", "published": "published"}
"""Where in the site the pages of results are."""
MARK = ".harness-report"
"""The file by which a site is known: it is no result, and may be replaced."""
OWN = ("cells.csv", "gallery.png", "table.md", "sweep.md")
"""Files that a page shows in its own way."""

Key = tuple[str, str, str]
"""Row, column, metric; of a sweep the point, nothing, and the metric."""


@dataclass(frozen=True)
class ReportCell:
    """A run of a table or a sweep, finished or not."""

    row: str
    column: str
    seed: str
    run: str
    finished: bool
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Numbers:
    """A line of cells.csv; None where there is no number."""

    n: int
    mean: float | None
    std: float | None
    low: float | None
    high: float | None
    values: tuple[str, ...]
    """Of the images, where they are too few for an interval."""
    published: float | None
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """A directory `<results>/<family>/<name>` of one rendered table or sweep, or of figures alone."""

    origin: Origin
    directory: Path
    document: Document | None = None
    numbers: dict[Key, Numbers] = field(default_factory=dict)
    axes: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of a sweep, the values of each point."""
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def family(self) -> str:
        return self.directory.parent.name

    @property
    def name(self) -> str:
        return self.directory.name

    @property
    def title(self) -> str:
        return self.document.title if self.document else self.provenance.get("title") or self.family

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

    @cached_property
    def downloads(self) -> tuple[Path, ...]:
        """Files of a table or a sweep to take along: its numbers, it as a document can have it, its pictures."""
        pictures = [picture.name for picture in (*filter(None, [self.gallery]), *self.figures)]
        found = [self.directory / name for name in ("cells.csv", "table.tex", "table.md", *pictures)]
        return tuple(path for path in found if path.is_file())

    @property
    def is_smoke(self) -> bool:
        """Whether it only shows that everything runs: its numbers mean nothing."""
        return self.provenance.get("scale") == "smoke"

    @property
    def gallery(self) -> Path | None:
        path = self.directory / "gallery.png"
        return path if path.exists() else None

    @cached_property
    def cells(self) -> tuple[ReportCell, ...]:
        """Every run behind it."""
        points = {run: row for (row, _, _), numbers in self.numbers.items() for run in numbers.runs}
        return tuple(_cell(node, points) for node in self.provenance.get("cells", ()))

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple({metric: None for _, _, metric in self.numbers})


def _cell(node: Mapping[str, Any], points: Mapping[str, str]) -> ReportCell:
    """A cell as a table names it, by row and column, or as a sweep does, by its values."""
    values = {name: str(value) for name, value in node.get("values", {}).items()}
    seed = str(node.get("seed", values.pop("seed", "")))
    row = node["row"] if "row" in node else points.get(node["run"], _point(values))
    return ReportCell(
        row, node.get("column", ""), seed, node["run"], node["finished"], tuple(node["overrides"])
    )


def _point(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def find(root: Path, origin: Origin) -> list[Result]:
    """Every result below a directory, sorted; none when there is no such directory."""
    folders = sorted(path for path in root.glob("*/*/") if not (path.parent / MARK).exists())
    return [_read(folder, origin) for folder in folders if _holds_results(folder)]


def _holds_results(folder: Path) -> bool:
    return any(path.suffix in (".csv", ".png", ".md") for path in folder.iterdir())


def _read(folder: Path, origin: Origin) -> Result:
    document, provenance = folder / "document.json", folder / "provenance.json"
    try:
        numbers, axes = _numbers(folder / "cells.csv")
        return Result(
            origin,
            folder,
            load(document.read_text(encoding="utf-8")) if document.exists() else None,
            numbers,
            axes,
            json.loads(provenance.read_text(encoding="utf-8")) if provenance.exists() else {},
        )
    except (KeyError, ValueError) as error:  # of a missing column, of JSON, of pydantic and of numbers
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{folder} can't be read, make its table again: {reason}") from error


def _numbers(path: Path) -> tuple[dict[Key, Numbers], dict[str, dict[str, str]]]:
    """The lines of a cells.csv, and the values of a sweep's points: what stands before the metric."""
    if not path.exists():
        return {}, {}
    lines = read_csv(path)
    if lines and "row" in lines[0]:
        return {(line["row"], line["column"], line["metric"]): _line(line) for line in lines}, {}
    names = list(lines[0]) if lines else []
    axes = [{name: line[name] for name in names[: names.index("metric")]} for line in lines]
    numbers = {
        (_point(values), "", line["metric"]): _line(line) for values, line in zip(axes, lines, strict=True)
    }
    return numbers, {_point(values): values for values in axes}


def _line(line: Mapping[str, str]) -> Numbers:
    names = ("mean", "std", "ci_low", "ci_high", "published")
    mean, std, low, high, published = (float(text) if (text := line.get(name)) else None for name in names)
    values = tuple((line.get("values") or "").split())
    return Numbers(int(line["n"]), mean, std, low, high, values, published, tuple(line["run_ids"].split()))
