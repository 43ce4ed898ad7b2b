"""A table of a paper: what it compares, what it claims, and what stands beside it."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any

import pydantic

from harness.base.components import build, listed
from harness.base.errors import explain_validation, shortened
from harness.core import UserError, component
from harness.plots.plot import Plot
from harness.tables.claims.claim import Claim
from harness.tables.layout import Delta, TableLayout
from harness.tables.supplement import Supplement


@component
class Table(TableLayout):
    """A table of a paper."""

    claims: list[Claim] = field(default_factory=list)
    supplements: list[Supplement] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    """Their columns are those of the store, and `row` and `column`."""


def parse(node: Mapping[str, Any]) -> Table:
    """A table from plain data. Raises UserError with one line that names the mistake."""
    values = {key: value for key, value in node.items() if not key.startswith("_") and value is not None}
    parts = {
        name: [build(name, each) for each in listed(name, values.pop(name, []))]
        for name in ("supplements", "plots", "claims")
    }
    try:
        table = Table(**values | parts)
    except pydantic.ValidationError as error:
        mistakes = explain_validation(error, Table, "")
        raise UserError(f"table {shortened(node.get('name'))}: {mistakes}") from error
    for kind, name, known in _references(table):
        if name not in known:
            raise UserError(f"table {table.name}: {kind} {name!r} is none of {', '.join(known)}")
    for claim in table.claims:
        if mistake := claim.mistake(list(table.rows)):
            raise UserError(f"table {table.name}: claim {claim.text!r} {mistake}")
    return table


def _references(table: Table) -> list[tuple[str, str, list[str]]]:
    """Every name that must be one of the table's rows, columns or metrics."""
    rows, columns, metrics = list(table.rows), list(table.columns), list(table.metrics)
    scales = list(table.scales.values())
    deltas: list[Delta] = [*scales, *(delta for scale in scales for delta in scale.datasets.values())]
    named = [("picture metric", table.picture, metrics)] if table.picture else []
    named += [("row", row, rows) for row in table.only.rows]
    named += [("column", column, columns) for column in table.only.columns]
    named += [("row", row, rows) for delta in deltas for row in delta.rows]
    named += [("column", column, columns) for delta in deltas for column in delta.columns]
    for claim in table.claims:
        named += claim.names(rows, columns)
        named += [("claimed metric", metric, metrics) for metric in claim.metrics]
    return [(kind, name, known) for kind, name, known in named if name is not None]
