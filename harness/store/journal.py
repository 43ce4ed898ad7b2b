"""rows.jsonl, a run's journal: one row a line, read with suspicion, for a disk or a kill may have broken it."""

import json
from collections.abc import Sequence
from zlib import crc32

from harness.base.files import to_json
from harness.base.rows import Row

CHECK = b', "check": "'
"""The last key of a line while a run goes on: a checksum of what stands before it."""


def encode(rows: Sequence[Row]) -> bytes:
    """Rows as the lines of a finished run's journal, whose digest is in result.json."""
    return "".join(to_json(row) + "\n" for row in rows).encode()


def encode_checked(rows: Sequence[Row]) -> bytes:
    """Rows as the lines of a journal that goes on: each can be told from a damaged one by itself."""
    return b"".join(_checked(to_json(row).encode()[:-1]) for row in rows)


def _checked(body: bytes) -> bytes:
    return body + CHECK + f'{crc32(body):08x}"}}\n'.encode()


def decode(content: bytes) -> tuple[list[Row], int]:
    """The rows of a journal, each once, and how many lines are none: half a line, garbage, other JSON, altered."""
    rows: dict[tuple[int, int], Row] = {}
    broken, checked = 0, CHECK in content
    for line in content.splitlines(keepends=True):
        row = _row(line, checked)
        if row is None:
            broken += 1
        else:
            rows.setdefault((row["problem"], row["image"]), row)
    return list(rows.values()), broken


def _row(line: bytes, checked: bool) -> Row | None:
    if not line.endswith(b"\n") or (checked and line != _checked(line.rpartition(CHECK)[0])):
        return None
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):  # no JSON, or no UTF-8, or JSON in JSON in JSON
        return None
    if checked:
        del row["check"]
    named = isinstance(row, dict) and all(_is_number(row.get(name)) for name in ("problem", "image"))
    return row if named else None


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
