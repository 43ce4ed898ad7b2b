"""A finished run is opened again where more of its targets are asked for, or other metrics.

It is then as if it had been interrupted when all that it holds was done: its images lie in parts again, and the file
that tells a finished run is moved away in one step, the last. A kill before that leaves the run finished; a kill after
it, one that goes on.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from harness.base.files import to_json, write_atomically
from harness.store.journal import Row, damaged, decode
from harness.store.published import blank

RESULT = "result.json"
"""Whose being there tells that a run is finished."""
BEFORE = "before.json"
"""What it was called when the run was last finished, while it goes on."""
Trace = list[dict[str, float]]


def write_part(path: Path, images: Mapping[str, Tensor], trace: Trace, durable: bool = True) -> None:
    """Keep what one problem has come to."""
    plain = {name: tensor.detach().cpu().float().clone().contiguous() for name, tensor in images.items()}
    write_atomically(path, save(plain, metadata={"trace": to_json(trace)}), durable)


def reopen(directory: Path) -> None:
    """Make a finished run one that goes on. Raises UserError where its files are damaged, and leaves them then."""
    parts = directory / "parts"
    parts.mkdir(exist_ok=True)
    for problem, images, trace in _problems(directory):
        write_part(parts / f"{problem}.safetensors", images, trace, durable=False)
    (directory / RESULT).replace(directory / BEFORE)


def _problems(directory: Path) -> Iterator[tuple[int, dict[str, Tensor], Trace]]:
    try:
        rows, _ = decode((directory / "rows.jsonl").read_bytes())
        blanks, counts = blank(directory), _counts(rows)
        images = blanks or load_file(str(directory / "reconstructions.safetensors"))
        traces = dict.fromkeys(counts, Trace()) if blanks else _traces(directory)
        cuts = {name: _cuts(counts, len(tensor)) for name, tensor in images.items()}
        for place, problem in enumerate(counts):
            own = {name: tensor[slice(*cuts[name][place])] for name, tensor in images.items()}
            yield problem, own, traces[problem]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise damaged(directory, error) from error


def _traces(directory: Path) -> dict[int, Trace]:
    lines = (directory / "traces.jsonl").read_text(encoding="utf-8").splitlines()
    return {line["problem"]: line["trace"] for line in map(json.loads, lines)}


def _counts(rows: list[Row]) -> dict[int, int]:
    """How many rows each problem has, in order."""
    problems = sorted(row["problem"] for row in rows)
    return {problem: problems.count(problem) for problem in dict.fromkeys(problems)}


def _cuts(counts: Mapping[int, int], total: int) -> list[tuple[int, int]]:
    """Where each problem's images are; there may be more than rows, but then equally many of each problem."""
    sizes = list(counts.values())
    if sum(sizes) != total:
        if total % len(sizes):
            raise ValueError(f"{total} images, {sum(sizes)} rows")
        sizes = [total // len(sizes)] * len(sizes)
    ends = [sum(sizes[:place]) for place in range(len(sizes) + 1)]
    return list(pairwise(ends))


def with_earlier(directory: Path, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The provenance of a run that goes on: its own, what made the rest of it, and the time of both."""
    before = directory / BEFORE
    if not before.exists():
        return dict(provenance)
    earlier = json.loads(before.read_text(encoding="utf-8"))["provenance"]
    spent = {name: provenance[name] + earlier.get(name, 0.0) for name in TIMES if name in provenance}
    chain = [*earlier.get("earlier", []), {k: v for k, v in earlier.items() if k != "earlier"}]
    return {**provenance, **spent, "earlier": chain}


TIMES = ("seconds", "cpu_seconds")
