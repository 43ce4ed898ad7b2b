"""rows.jsonl, a run's journal: one row a line, read with suspicion, for a disk or a kill may have broken it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.base.errors import UserError
from harness.base.files import to_json

Row = dict[str, Any]


def encode(rows: Sequence[Row]) -> bytes:
    """Rows as the lines of a journal."""
    return "".join(to_json(row) + "\n" for row in rows).encode()


def decode(content: bytes) -> tuple[list[Row], int]:
    """The rows of a journal, each once, and how many lines are none: half a line, garbage, other JSON."""
    rows: dict[tuple[int, int], Row] = {}
    broken = 0
    for line in content.splitlines(keepends=True):
        row = _row(line)
        if row is None:
            broken += 1
        else:
            rows.setdefault((row["problem"], row["image"]), row)
    return list(rows.values()), broken


def _row(line: bytes) -> Row | None:
    if not line.endswith(b"\n"):
        return None
    try:
        row = json.loads(line)
    except ValueError:  # no JSON, or no UTF-8
        return None
    named = isinstance(row, dict) and all(_is_number(row.get(name)) for name in ("problem", "image"))
    return row if named else None


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def damaged(directory: Path, error: Exception) -> UserError:
    """What to tell the user of a finished run whose files can't be read."""
    problem = next(iter(str(error).splitlines()), type(error).__name__)
    return UserError(f"{directory} is damaged ({problem}): delete it, and the same command computes it again")
