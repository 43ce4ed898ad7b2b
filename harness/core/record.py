"""What is left of a run when it is done."""

from dataclasses import dataclass
from typing import Any

from harness.base.rows import Row


@dataclass(frozen=True)
class Record:
    """A finished run: its id, resolved configuration, one row per image, summary and provenance."""

    id: str
    config: dict[str, Any]
    rows: list[Row]
    summary: dict[str, Any]
    provenance: dict[str, Any]
