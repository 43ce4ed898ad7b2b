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

from torch import Tensor

from harness.base.rows import Row
from harness.store.contents import Trace, write_part
from harness.store.contents import images as images_of
from harness.store.contents import traces as traces_of
from harness.store.integrity import IMAGES, RESULT, TRACES, StoredRun, plain, reading

BEFORE = "before.json"
"""What it was called when the run was last finished, while it goes on."""


def reopen(directory: Path) -> None:
    """Make a finished run one that goes on. Raises UserError where its files are damaged, and leaves them then."""
    parts = directory / "parts"
    parts.mkdir(exist_ok=True)
    for problem, images, trace in _problems(directory):
        write_part(parts / f"{problem}.safetensors", images, trace, durable=False)
    (directory / RESULT).replace(directory / BEFORE)


def _problems(directory: Path) -> Iterator[tuple[int, dict[str, Tensor], Trace]]:
    """Every problem with its images and its trace. Raises Damaged, before the first, for any file."""
    stored = StoredRun.open(directory)
    stored.check()
    counts, images, traces = _counts(stored.rows()), images_of(stored), traces_of(stored)
    with reading(directory, IMAGES):
        cuts = {name: _cuts(counts, len(tensor)) for name, tensor in images.items()}
    with reading(directory, TRACES):
        courses = [traces[problem] for problem in counts]
    for place, (problem, course) in enumerate(zip(counts, courses, strict=True)):
        yield problem, {name: tensor[slice(*cuts[name][place])] for name, tensor in images.items()}, course


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
    with reading(directory, BEFORE):
        earlier = json.loads(plain(before))["provenance"]
    spent = {name: provenance[name] + earlier.get(name, 0.0) for name in TIMES if name in provenance}
    chain = [*earlier.get("earlier", []), {k: v for k, v in earlier.items() if k != "earlier"}]
    return {**provenance, **spent, "earlier": chain}


TIMES = ("seconds", "cpu_seconds")
