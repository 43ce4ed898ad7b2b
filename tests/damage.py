"""Runs that are not as they were stored: what disks, kills and people do to files."""

import json
import os
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

Damage = Callable[[Path], object]
NESTED = "[" * 100_000
LINE = '{"problem": 0, "trace": %s}'


def unseal(directory: Path, **changes: Any) -> None:
    """Make a run one from before there were digests, with other things in its record."""
    path = directory / "result.json"
    kept = json.loads(path.read_text())
    kept.pop("files", None)
    kept.pop("digest", None)
    path.write_text(json.dumps(kept | changes))


def flip(place: float, bit: int, path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1 << bit
    path.write_bytes(content)


def rewrite(change: Callable[[bytes], bytes], path: Path) -> None:
    path.write_bytes(change(path.read_bytes()))


def replace(make: Damage, path: Path) -> None:
    path.unlink()
    make(path)


def become(content: str, path: Path) -> None:
    path.write_text(content)


def add(line: str, path: Path) -> None:
    path.write_text(f"{path.read_text()}{line}\n")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link(to: str, path: Path) -> None:
    path.symlink_to(to)


def record(changes: dict[str, Any], path: Path) -> None:
    """Other things in result.json."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def row(place: int, changes: dict[str, Any], path: Path) -> None:
    """Other things in a row; `...` leaves a column out."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[place] = {name: value for name, value in (lines[place] | changes).items() if value is not ...}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _flips(count: int) -> dict[str, Damage]:
    rng = random.Random(0)
    places = [(rng.random(), rng.randrange(8)) for _ in range(count)]
    return {f"bit {bit} at {place:.3f} flipped": partial(flip, place, bit) for place, bit in places}


ANY: dict[str, Damage] = {
    **_flips(8),
    "first byte": partial(flip, 0, 3),
    "last byte": partial(flip, 1, 3),
    "emptied": partial(rewrite, lambda content: b""),
    "cut": partial(rewrite, lambda content: content[: len(content) // 2]),
    "longer": partial(rewrite, lambda content: content + b"\0"),
    "doubled": partial(rewrite, lambda content: 2 * content),
    "zeroes": partial(rewrite, lambda content: bytes(len(content))),
    "a folder": partial(replace, Path.mkdir),
    "a pipe": partial(replace, pipe),
    "a link to nothing": partial(replace, partial(link, "nowhere")),
    "a link to a folder": partial(replace, partial(link, "/")),
    "a link to a device": partial(replace, partial(link, "/dev/zero")),
    "deleted": Path.unlink,
}
"""Of any file."""
_TEXTS = (
    *("null", "3", "[]", '"text"', "true", "{}", "NaN", "", "\0", '{"id": 1}', NESTED, '{"a":' * 5000),
    "9" * 5000,
)
_NONE: list[Any] = [None, [], 7]
_WRONG = [(name, value) for name in ("id", "config", "summary", "provenance") for value in _NONE]
_SUMMARIES: list[Any] = [
    *({"psnr_unit": 3}, {"status": {"budget": "three"}}, {"status": {"budget": 4}}, {"lpips": None})
]
_CONFIGS: list[Any] = [
    *({"choices": 3}, {"choices": [1]}, {"choices": {"attack": {}}}, {"fl": None}, {"fl": []}, {"fl": "x"})
]
RESULTS: dict[str, Damage] = {
    **{f"it is {text[:9]!r}": partial(become, text) for text in _TEXTS},
    **{f"{name} is {value!r}": partial(record, {name: value}) for name, value in _WRONG},
    **{f"summary is {value!r}": partial(record, {"summary": value}) for value in _SUMMARIES},
    **{f"config is {value!r}": partial(record, {"config": value}) for value in _CONFIGS},
    "not UTF-8": partial(rewrite, lambda content: b'{"id": "\xff"}'),
}
"""What can't be a result.json."""
_LINES = ("null", "3", "[]", '"x"', "{}", "{", NESTED, "NaN", '{"problem": 0, "image": 0}')
_NUMBERS: list[Any] = [None, -1, "1", 1.5, True, [], ...]
_CELLS: list[tuple[str, Any]] = [
    *(("target", []), ("status", 3), ("scored_by", [1]), ("mse", {}), ("psnr_unit", [[1]])),
    *((name, value) for name in ("problem", "image") for value in _NUMBERS),
]
ROWS: dict[str, Damage] = {
    **{f"a line is {line[:9]!r}": partial(add, line) for line in _LINES},
    "a row more": partial(add, '{"problem": 9, "image": 0}'),
    **{f"{name} is {value!r}": partial(row, 1, {name: value}) for name, value in _CELLS},
    "a row less": partial(rewrite, lambda content: b"".join(content.splitlines(keepends=True)[:2])),
    "a row twice": partial(rewrite, lambda content: content.splitlines(keepends=True)[0] * 3),
    "a column less": partial(rewrite, lambda content: content.replace(b'"mse": 0.5, ', b"")),
    "not UTF-8": partial(rewrite, lambda content: content.replace(b"budget", b"\xff\xfe")),
    **{name: ANY[name] for name in ("emptied", "cut", "zeroes", "a folder", "a pipe", "a link to nothing")},
}
"""What can't be the rows of a result.json."""
_TRACES = (
    *("null", "3", "[]", "{}", '{"problem": 0}', '{"problem": "x", "trace": []}', NESTED, "\0"),
    *(LINE % trace for trace in ("3", "[3]", '[{"loss": "x"}]', "null")),
)
TRACES: dict[str, Damage] = {f"a line is {text[:40]!r}": partial(become, f"{text}\n") for text in _TRACES}
HOLDER = {"host": "h", "machine": "m", "pid": 1, "born": None, "expiry": 9.0}
_HOLDERS: list[dict[str, Any]] = [
    *({"pid": "x"}, {"pid": -1}, {"pid": 10**40}, {"pid": 1.5}, {"expiry": None}, {"expiry": "long"}),
    *(
        {"expiry": -1},
        {"expiry": float("nan")},
        {"expiry": float("inf")},
        {"machine": 3},
        {"born": 7},
        {"more": 1},
    ),
]
_CONTENTS = (
    *("", "null", "3", "[]", "{}", "{", "\0\0", NESTED, '"x"'),
    *(json.dumps(HOLDER | h) for h in _HOLDERS),
)
LEASES: dict[str, Damage] = {
    **{f"{place}, {text[:9]!r}": partial(become, text) for place, text in enumerate(_CONTENTS)},
    "a folder": Path.mkdir,
    "a pipe": pipe,
    "a link to nothing": partial(link, "nowhere"),
}
NAMES = (
    *(
        "x" * 250,
        "new\nline",
        b"\xff\xfe".decode(errors="surrogateescape"),
        "-rf",
        "*",
        "..hidden",
        "é" * 100,
        " ",
    ),
)
"""Of things in a store that are no run."""
