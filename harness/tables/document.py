"""A table ready to be written down, in whatever form; and as JSON, from which others read it back."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType

import pydantic

from harness.base.files import to_json
from harness.tables.budget import Budgets, note, poor, told
from harness.tables.caption import caption, notes, unit
from harness.tables.claims.verdict import Verdict, judge_all
from harness.tables.detection import COLUMN, MEANING, beside, detections, false_alarms
from harness.tables.measurement import Measurements, Outcome
from harness.tables.spec import Table
from harness.tables.view import Section, sections


@dataclass(frozen=True)
class Document:
    """Title, caption, one section of cells per metric, verdicts on the paper's claims, notes, plots."""

    title: str
    source: str
    caption: tuple[str, ...]
    columns: tuple[str, ...]
    sections: tuple[Section, ...]
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]
    plots: tuple[tuple[str, str], ...] = ()
    """The name of each plot's files, and its title."""
    unit: str = "image"
    """What a value is of: an image, or an update where labels alone were inferred and there are no pictures."""


def compose(
    table: Table,
    dataset: str,
    scale: str,
    outcomes: Sequence[Outcome],
    measurements: Measurements,
    budgets: Budgets = MappingProxyType({}),
) -> Document:
    """Put a table into words; `budgets` are the parts of the paper's budget that its rows had."""
    document = Document(
        title=table.title,
        source=table.source,
        caption=(*caption(table, dataset, scale, outcomes), *told(table, outcomes), *note(budgets)),
        columns=tuple(table.columns),
        sections=tuple(sections(table, measurements)),
        verdicts=tuple(judge_all(table, dataset, scale, measurements, poor(budgets))),
        notes=tuple(notes(table, (dataset, scale), outcomes, measurements)),
        unit=unit(outcomes),
    )
    seen = detections(table, outcomes)
    return _with_detections(document, seen, outcomes) if seen else document


def _with_detections(document: Document, seen: Mapping[str, str], outcomes: Sequence[Outcome]) -> Document:
    """With a last column of what each row's clients have seen of its server, and what must be said beside it."""
    return replace(
        document,
        caption=(*document.caption, MEANING),
        columns=(*document.columns, COLUMN),
        sections=tuple(beside(section, seen) for section in document.sections),
        notes=(*document.notes, *false_alarms(outcomes)),
    )


def direction(section: Section) -> str:
    """The title of a section with an arrow to what is better."""
    return f"{section.metric.title} {'↑' if section.metric.higher_is_better else '↓'}"


def dump(document: Document) -> str:
    """document.json: all words of a table. The numbers behind its cells are in cells.csv."""
    return to_json(asdict(document), indent=1) + "\n"


def load(text: str) -> Document:
    """What `dump` wrote. Raises pydantic.ValidationError, a ValueError, for anything else."""
    return pydantic.TypeAdapter(Document).validate_json(text)
