"""The store of runs: what is finished survives a kill, and nothing is written twice."""

import fcntl
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, cat

from harness.core import Record, UserError
from harness.files import to_json, write_atomically
from harness.statistics import statistic

if TYPE_CHECKING:
    import pandas

Row = dict[str, Any]
Trace = list[dict[str, float]]

IDENTITY = frozenset({"problem", "image", "target", "label", "label_inferred"})
"""Columns of a row that name something: numbers, but no measurements."""


def summarise(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean, std, 95 % interval and n of every measured column, and how often each status occurred.

    Repetitions of one target count as one group for the interval. A column without any value is None.
    """
    targets = [row.get("target", (row.get("problem"), row.get("image"))) for row in rows]
    summary: dict[str, Any] = {}
    for name in {key: None for row in rows for key in row if key not in IDENTITY}:
        values = [row.get(name) for row in rows]
        if all(value is None or isinstance(value, int | float) for value in values):
            found = statistic(values, targets)
            summary[name] = found and {
                "mean": found.mean,
                "std": found.std,
                "ci95": None if found.low is None else [found.low, found.high],
                "n": found.n,
            }
    statuses = [row["status"] for row in rows if "status" in row]
    summary["status"] = {status: statuses.count(status) for status in sorted(set(statuses))}
    return summary


class Store:
    """A directory of runs, one folder each, named by the run's id."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def load(self, identity: str) -> Record | None:
        """The record of a finished run; None when it is not finished or was never begun."""
        directory = self.root / identity
        result = directory / "result.json"
        if not result.exists():
            return None
        content = json.loads(result.read_text(encoding="utf-8"))
        lines = (directory / "rows.jsonl").read_text(encoding="utf-8").splitlines()
        return Record(rows=[json.loads(line) for line in lines], **content)

    def open(self, identity: str, config: Mapping[str, Any]) -> "Run":
        """Begin a run, or go on with one that was interrupted.

        Raises UserError when another process is writing the same run, ValueError when it is finished.
        """
        if self.load(identity) is not None:
            raise ValueError(f"run {identity} is finished: load it")
        return Run(self.root / identity, config)

    def records(self) -> list[Record]:
        """Every finished run, sorted by id."""
        found = [self.load(path.parent.name) for path in sorted(self.root.glob("*/result.json"))]
        return [record for record in found if record is not None]

    def images(self, identity: str) -> dict[str, Tensor]:
        """The tensors `truth` and `reconstruction` [n, c, h, w] of a finished run, in the rows' order.

        Where the attacker learnt from earlier attacks there is `unclamped` too, in the order of the search.
        """
        return load_file(str(self.root / identity / "reconstructions.safetensors"))

    def frame(self) -> "pandas.DataFrame":
        """One line per image of every finished run, its configuration in flat columns.

        A group (`attack`) holds the name that was chosen, its settings stand beside it (`attack.steps`).
        """
        import pandas

        lines = [
            {"run": record.id, **flatten(record.config), **row}
            for record in self.records()
            for row in record.rows
        ]
        return pandas.DataFrame(lines)


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """A nested configuration as one level of dotted names, and under each group's own name its choice."""
    choices = config.get("choices", {})
    nested = {key: value for key, value in config.items() if key != "choices"}
    return {**dict(_dotted(nested, "")), **{key: name for key, name in choices.items() if name}}


def _dotted(node: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


class Run:
    """An open run. The tensors of a problem are on disk, whole, before its rows are: a row is a promise."""

    def __init__(self, directory: Path, config: Mapping[str, Any]) -> None:
        self.directory = directory
        self._journal = directory / "rows.jsonl"
        self._parts = directory / "parts"
        self._parts.mkdir(parents=True, exist_ok=True)
        self._lock = self._acquire()
        if (directory / "result.json").exists():  # since it was last looked at, before the lock was ours
            self._lock.close()
            raise UserError(f"{directory} was finished by another process: say the same command again")
        for stale in directory.rglob(".*.tmp"):
            stale.unlink()
        self._config = dict(config)
        self._rows = self._recover()
        write_atomically(directory / "config.yaml", yaml.safe_dump(self._config, sort_keys=False).encode())

    @property
    def finished(self) -> frozenset[int]:
        """The problems whose rows and tensors are safe on disk."""
        return frozenset(row["problem"] for row in self._rows)

    @property
    def rows(self) -> list[Row]:
        """The rows of all finished problems, in order."""
        return sorted(self._rows, key=lambda row: (row["problem"], row["image"]))

    def _acquire(self) -> IO[str]:
        """One writer at a time; the system gives the lock back when a process dies, however it dies."""
        file = (self.directory / ".lock").open("w")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise UserError(f"{self.directory} is being written by another process") from error
        return file

    def _recover(self) -> list[Row]:
        """The rows of whole problems. What a kill tore off (half a line, half a batch) is dropped."""
        content = self._journal.read_bytes() if self._journal.exists() else b""
        rows: dict[tuple[int, int], Row] = {}
        for line in content.splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            row = json.loads(line)
            rows.setdefault((row["problem"], row["image"]), row)
        counts = Counter(problem for problem, _ in rows)
        sizes = {problem: self._size(problem) for problem in counts}
        kept = [row for (problem, _), row in rows.items() if counts[problem] == sizes[problem]]
        if _lines(kept) != content:
            write_atomically(self._journal, _lines(kept))
        return kept

    def _part(self, problem: int) -> Path:
        return self._parts / f"{problem}.safetensors"

    def _size(self, problem: int) -> int | None:
        """How many images the stored part of a problem holds; None when it is missing or broken."""
        try:
            with safe_open(str(self._part(problem)), framework="pt") as part:
                return int(part.get_slice("truth").get_shape()[0])
        except (OSError, SafetensorError):
            return None

    def unclamped(self, problem: int) -> Tensor:
        """The images [n, c, h, w] of a finished problem as the search left them, where they were given."""
        with safe_open(str(self._part(problem)), framework="pt") as part:
            images: Tensor = part.get_tensor("unclamped")
        return images

    def append(
        self,
        problem: int,
        rows: Sequence[Row],
        truth: Tensor,
        reconstruction: Tensor,
        trace: Trace,
        unclamped: Tensor | None = None,
    ) -> None:
        """Store one finished problem durably: rows [n], truth and reconstruction [n, c, h, w] in [0, 1].

        `unclamped` [n, c, h, w] is for attacks that learn from earlier ones: if one problem has it, all must.
        """
        if problem in self.finished:
            raise ValueError(f"problem {problem} of {self.directory} is already stored")
        if not len(rows) == len(truth) == len(reconstruction) or not rows:
            raise ValueError(f"{len(rows)} rows, {len(truth)} truths, {len(reconstruction)} reconstructions")
        tensors = {"truth": truth, "reconstruction": reconstruction}
        tensors |= {} if unclamped is None else {"unclamped": unclamped}
        plain = {name: tensor.detach().cpu().float().clone().contiguous() for name, tensor in tensors.items()}
        write_atomically(self._part(problem), save(plain, metadata={"trace": to_json(trace)}))
        new = [{**row, "problem": problem, "image": image} for image, row in enumerate(rows)]
        with self._journal.open("ab") as file:
            file.write(_lines(new))
            file.flush()
            os.fsync(file.fileno())
        self._rows += [json.loads(to_json(row)) for row in new]

    def finish(self, summary: Mapping[str, Any], provenance: Mapping[str, Any]) -> Record:
        """Sort and merge what was appended, draw the gallery, and write result.json last of all."""
        from harness import pictures

        if not self._rows:
            raise ValueError(f"{self.directory} has no rows to finish")
        rows = sorted(self._rows, key=lambda row: (row["problem"], row["image"]))
        problems = sorted(self.finished)
        parts = [load_file(str(self._part(problem))) for problem in problems]
        images = {name: cat([part[name] for part in parts]) for name in parts[0]}
        traces = "".join(to_json({"problem": p, "trace": self._trace(p)}) + "\n" for p in problems)
        write_atomically(self._journal, _lines(rows))
        write_atomically(self.directory / "reconstructions.safetensors", save(images))
        write_atomically(self.directory / "traces.jsonl", traces.encode())
        scores = [row.get("psnr_unit") for row in rows]
        pictures.save(
            pictures.gallery(images["truth"], images["reconstruction"], scores),
            self.directory / "gallery.png",
        )
        result = {
            "id": self.directory.name,
            "config": self._config,
            "summary": summary,
            "provenance": provenance,
        }
        write_atomically(self.directory / "result.json", (to_json(result, indent=1) + "\n").encode())
        shutil.rmtree(self._parts)
        self._lock.close()
        return Record(rows=rows, **json.loads(to_json(result)))

    def _trace(self, problem: int) -> Trace:
        with safe_open(str(self._part(problem)), framework="pt") as part:
            trace: Trace = json.loads(part.metadata()["trace"])
        return trace


def _lines(rows: Sequence[Row]) -> bytes:
    return "".join(to_json(row) + "\n" for row in rows).encode()
