"""The pages of the site, from templates that escape whatever they are given."""

import csv
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import jinja2
from markupsafe import Markup, escape

from harness.base.files import to_json
from harness.base.templates import environment
from harness.core.columns import label
from harness.identity.changes import changes
from harness.report import texts as markdown
from harness.report.results import Result
from harness.report.runs import Listed, Place, settings
from harness.tables.view import number

TEMPLATES = Path(__file__).parent / "templates"
HEADLINE = {name: label(name) for name in ("psnr_unit", "ssim", "lpips_vgg", "success", "seconds")}
"""Metrics by which the list of runs can be sorted; the page of a run has all."""
CHOSEN = ("dataset", "model", "fl", "attack", "defense", "scale")
"""Groups by which the list of runs can be filtered."""
MOST = 200
"""Runs that are listed before all are asked for."""
TOLD = ("cells", "caption", "notes", "title", "methods", "kept")
"""Parts of a provenance that a page shows elsewhere."""
LINES = 1000
"""A longer CSV file is shown up to here; the link beside it leads to all of it."""


def overview(root: str, results: Sequence[Result], texts: Mapping[str, str], runs: int) -> str:
    """Every result, those of one table together."""
    families: dict[str, list[Result]] = {}
    for result in results:
        families.setdefault(result.title, []).append(result)
    return _render("overview.html", root, families=families, texts=texts, runs=runs)


def result(root: str, result: Result, known: Collection[str]) -> str:
    """One table with its numbers, claims, figures and texts; `known` are the runs that have a page."""
    return _render(
        "result.html",
        root,
        result=result,
        cells=_cells(result, known),
        texts=[markdown.render(path.read_text(encoding="utf-8")) for path in result.texts],
        tables={path.name: _table(path) for path in result.tables},
        most=LINES,
        changed=[*changes(result.provenance.get("methods", {})), *result.provenance.get("kept", [])],
        provenance={name: value for name, value in result.provenance.items() if name not in TOLD},
    )


def text(root: str, title: str, text: str) -> str:
    """What somebody wrote about results."""
    return _render("text.html", root, title=title, text=markdown.render(text))


def runs(root: str, records: Sequence[Listed], places: Mapping[str, Sequence[Place]]) -> str:
    """Every run in one table."""
    chosen = {r.id: {group: r.config.get("choices", {}).get(group, "") for group in CHOSEN} for r in records}
    facets = {group: sorted({choices[group] for choices in chosen.values()}) for group in CHOSEN}
    return _render(
        "runs.html",
        root,
        records=records,
        chosen=chosen,
        facets={group: names for group, names in facets.items() if len(names) > 1},
        differing=settings(records),
        places=places,
        headline=HEADLINE,
        most=MOST,
    )


def run(root: str) -> str:
    """The page on which a script draws the run that the address names."""
    return _render("run.html", root)


def compare(root: str) -> str:
    """The page on which a script draws two runs side by side."""
    return _render("compare.html", root)


def script(identity: str, data: Mapping[str, Any]) -> str:
    """A run's data as a script, since a page on the disk may not read other files."""
    return f"report.receive({_data(identity)}, {_data(data)});\n"


def _cells(result: Result, known: Collection[str]) -> list[dict[str, Any]]:
    """What a click on a cell shows: all metrics of a row and column, and the runs behind them."""
    behind: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for cell in result.cells:
        behind.setdefault((cell.row, cell.column), []).append(vars(cell) | {"here": cell.run in known})
    shown = _metrics(result)
    return [
        {
            "row": row,
            "column": column,
            "metrics": [
                words | (vars(found) if (found := result.numbers.get((row, column, name))) else {})
                for name, words in shown.items()
            ],
            "runs": behind.get((row, column), []),
        }
        for row, column in dict.fromkeys((row, column) for row, column, _ in result.numbers)
    ]


def _metrics(result: Result) -> dict[str, dict[str, Any]]:
    """Title, digits and direction of each metric: a table says them, a sweep only its name."""
    if result.document is None:
        return {name: {"title": name} for name in result.metrics}
    return {
        section.name: {
            "title": section.metric.title,
            "digits": section.metric.digits,
            "higher": section.metric.higher_is_better,
        }
        for section in result.document.sections
    }


def _table(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[: LINES + 1]


def _render(template: str, root: str, **values: object) -> str:
    return _environment().get_template(template).render(root=root, **values)


@cache
def _environment() -> jinja2.Environment:
    pages = environment(TEMPLATES)
    pages.filters |= {"data": _data, "link": quote, "query": urlencode}
    pages.filters |= {"number": number, "count": _count, "parts": _parts}
    return pages


def _parts(name: str) -> Markup:
    """A name that a narrow column may break where its parts meet, and nowhere else."""
    return escape(name).replace("_", Markup("_<wbr>"))


def _count(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _data(value: object) -> Markup:
    """JSON that can stand in a script element: no sign in it can end the element."""
    text = to_json(value)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)
